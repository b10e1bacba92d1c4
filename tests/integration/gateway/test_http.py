"""Everything but the webhooks' good case: errors in one form, health, metrics, receipts."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from collectors.migrate import migrate
from collectors.settings import DatabaseSettings
from shared.events import SOURCES
from tests.integration.gateway.conftest import Answer, Running, Start, eventually, pause
from tests.integration.gateway.events import array, facebook, tiktok
from tests.servers import NatsServer, PostgresServer

BULK = "/webhook/events/bulk"


def _assert_problem(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert (answer.json["status"], answer.json["correlationId"]) == (status, answer.correlation_id)
    assert answer.json["title"]
    assert answer.json["detail"]


@pytest.mark.parametrize(
    "path", ["/console", "/webhook", "/webhook/events/", "/nothing%0Ahere", "/webhook/events/bulk/a/b"]
)
async def test_an_unknown_resource_is_404(gateway: Running, path: str) -> None:
    _assert_problem(await gateway.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", BULK, "POST"),
        ("PUT", BULK, "POST"),
        ("DELETE", "/webhook/events", "POST"),
        ("OPTIONS", BULK, "POST"),
        ("POST", "/health/live", "GET,HEAD"),
        ("POST", BULK + "/an-id", "GET,HEAD"),
        ("PROPFIND", BULK, "POST"),
    ],
)
async def test_a_method_not_spoken_there_is_405_and_names_those_that_are(
    gateway: Running, method: str, path: str, allow: str
) -> None:
    answer = await gateway.request(method, path, headers={"x-correlation-id": "mine"})
    _assert_problem(answer, 405)
    assert answer.correlation_id == "mine"
    assert answer.headers["Allow"] == allow


async def test_head_is_answered_as_get_without_a_body(gateway: Running) -> None:
    for path, status in {
        "/health/live": 200,
        "/health/ready": 200,
        "/metrics": 200,
        BULK: 405,
        "/nothing": 404,
    }.items():
        answer = await gateway.request("HEAD", path)
        assert (path, answer.status, answer.body) == (path, status, b"")


async def test_ready_names_every_check(gateway: Running) -> None:
    ready = await gateway.get("/health/ready")
    assert ready.json["status"] == "ready"
    assert set(ready.json["checks"]) == {"serving", "nats", "streams", "backlog"}
    assert all(check["ok"] and check["detail"] for check in ready.json["checks"].values())
    assert (await gateway.get("/health/live")).json == {"status": "live"}


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0", "*/*"])
async def test_metrics_are_prometheus_text(gateway: Running, accept: str) -> None:
    answer = await gateway.request("GET", "/metrics", headers={"Accept": accept})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(accept.partition(";")[0].replace("*/*", "text/plain"))
    for name in (
        "gateway_bulk_events_processed",
        "gateway_bulk_processing_duration_seconds",
        "gateway_bulk_batch_size_histogram",
        "floodgate_build",
        "nats_connected",
    ):
        assert f"# TYPE {name}" in answer.body.decode()


async def test_what_was_asked_for_is_no_label_of_a_metric(gateway: Running) -> None:
    await gateway.get("/made-up-path")
    await gateway.get(BULK + "/made-up-id")
    await gateway.post(array(facebook(source="made-up-source")))
    assert "made-up" not in (await gateway.get("/metrics")).body.decode()


async def test_a_receipt_without_a_database_is_503(gateway: Running) -> None:
    answer = await gateway.get(BULK + "/an-id")
    _assert_problem(answer, 503)
    assert "Retry-After" in answer.headers


@pytest.fixture
async def ledger(database_url: str) -> str:
    """A database with the tables."""
    await migrate(DatabaseSettings(url=database_url), SOURCES)
    return database_url


async def _store(database_url: str, gateway: Running, source: str, *, duplicates: int = 0, dead: int = 0) -> None:
    """Put all messages of a source's stream into the ledger, as a collector does."""
    connection = await asyncpg.connect(database_url)
    try:
        for sequence, message in enumerate(await gateway.stored(source), 1):
            events = int(message.headers["Floodgate-Events"])
            await connection.execute(
                """
                INSERT INTO batches (stream, stream_seq, message_id, correlation_id, source, events, inserted,
                                     duplicates, dead_lettered)
                VALUES ($1, $2, $3, $4, $5, $6::int, $6::int - $7::int - $8::int, $7::int, $8::int)
                """,
                gateway.names.stream(source),
                sequence,
                message.headers["Nats-Msg-Id"],
                message.headers["Floodgate-Correlation-Id"],
                source,
                events,
                duplicates,
                dead,
            )
    finally:
        await connection.close()


async def test_a_receipt_follows_a_correlation_id_from_accepted_to_stored(start: Start, ledger: str) -> None:
    gateway = await start(database_url=ledger)
    path = f"{BULK}/file-1"
    _assert_problem(await gateway.get(path), 404)
    for _ in range(2):
        await gateway.post(
            array(*[facebook() for _ in range(3)], tiktok(), {"eventId": "bad"}), x_correlation_id="file-1"
        )
    await gateway.post(array(facebook()), x_correlation_id="file-10")

    first = (await gateway.get(path)).json
    assert (first["correlationId"], first["requests"], first["failed"]) == ("file-1", 2, 2)
    assert (first["accepted"], first["stored"], first["pending"], first["complete"]) == (8, 0, 8, False)

    await _store(ledger, gateway, "facebook", duplicates=1)
    second = (await gateway.get(path)).json
    assert (second["stored"], second["duplicates"], second["pending"], second["complete"]) == (4, 2, 2, False)

    await _store(ledger, gateway, "tiktok", dead=1)
    answer = await gateway.get(path)
    assert answer.headers["Cache-Control"] == "no-store"
    third = answer.json
    assert (third["accepted"], third["stored"], third["duplicates"], third["deadLettered"]) == (8, 4, 2, 2)
    assert (third["pending"], third["complete"]) == (0, True)
    assert third["bySource"] == {
        "facebook": {"accepted": 6, "stored": 4, "duplicates": 2, "deadLettered": 0, "pending": 0},
        "tiktok": {"accepted": 2, "stored": 0, "duplicates": 0, "deadLettered": 2, "pending": 0},
    }


@pytest.mark.parametrize(
    "correlation_id", ["a.b", "a:b/c", "x" * 128, "2f1c1f5e-8f0b-4d0e-9d51-4a4b6f3f5a77", "a+b=c@d"]
)
async def test_every_sane_correlation_id_has_its_receipt(start: Start, ledger: str, correlation_id: str) -> None:
    gateway = await start(database_url=ledger)
    await gateway.post(array(facebook()), x_correlation_id=correlation_id)
    answer = await gateway.get(f"{BULK}/{correlation_id.replace('/', '%2F').replace('+', '%2B')}")
    assert (answer.json["correlationId"], answer.json["accepted"]) == (correlation_id, 1)


@pytest.mark.parametrize("asked", ["%0d%0ainjected", "a%20b", "*", "%3E", "x" * 129, "%00", "a'%20OR%20'1'='1"])
async def test_a_receipt_of_an_odd_correlation_id_is_404_and_nothing_is_asked(
    start: Start, ledger: str, asked: str
) -> None:
    gateway = await start(database_url=ledger)
    _assert_problem(await gateway.get(f"{BULK}/{asked}"), 404)


async def test_messages_that_turn_up_unacknowledged_are_in_the_receipt(
    nats_servers: Callable[[], NatsServer], start: Start, ledger: str
) -> None:
    server = nats_servers()
    gateway = await start(url=server.url, keep=True, timeout_ms=200, attempts=1, database_url=ledger)
    await pause(server)
    answer = await gateway.post(array(facebook(), facebook()), x_correlation_id="late")
    assert (answer.status, answer.json["processed"]) == (503, 0)
    server.resume()

    async def turned_up() -> bool:
        return len(await gateway.stored("facebook")) == 1

    await eventually(turned_up)
    await _store(ledger, gateway, "facebook")
    receipt = (await gateway.get(f"{BULK}/late")).json
    assert (receipt["accepted"], receipt["stored"], receipt["pending"], receipt["complete"]) == (2, 2, 0, True)


def _assert_too_large(answer: Answer, of: str) -> None:
    _assert_problem(answer, 422)
    assert answer.json["type"] == "/docs/problems#receipt-too-large"
    assert of in answer.json["detail"]
    assert "complete" not in answer.json


async def test_an_id_of_too_many_requests_has_no_receipt_rather_than_one_that_misses_what_is_pending(
    start: Start, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.receipts.MAX_RECORDS", 2)
    gateway = await start(database_url=ledger)
    for _ in range(2):
        await gateway.post(array(facebook(), facebook()), x_correlation_id="always")
    await _store(ledger, gateway, "facebook")
    assert (await gateway.get(f"{BULK}/always")).json["complete"]
    await gateway.post(array(facebook(), facebook()), x_correlation_id="always")
    _assert_too_large(await gateway.get(f"{BULK}/always"), "more than 2 requests")


async def test_an_id_of_too_many_messages_has_no_receipt_and_no_more_of_them_are_read(
    start: Start, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.receipts.MAX_MESSAGES", 2)
    gateway = await start(database_url=ledger, message_events=1)
    await gateway.post(array(facebook(), facebook()), x_correlation_id="two")
    await gateway.post(array(*[tiktok() for _ in range(9)]), x_correlation_id="nine")
    fetched: list[int] = []
    fetch = asyncpg.Pool.fetch

    async def counted(*given: Any, **options: Any) -> Any:
        rows = await fetch(*given, **options)
        fetched.append(len(rows))
        return rows

    monkeypatch.setattr(asyncpg.Pool, "fetch", counted)
    for source in ("facebook", "tiktok"):
        await _store(ledger, gateway, source)
    receipt = (await gateway.get(f"{BULK}/two")).json
    assert (receipt["accepted"], receipt["complete"]) == (2, True)
    _assert_too_large(await gateway.get(f"{BULK}/nine"), "more than 2 stored messages")
    assert fetched == [2, 3]


async def test_receipts_come_back_with_the_database(
    postgres_servers: Callable[[], PostgresServer], start: Start
) -> None:
    server = await asyncio.to_thread(postgres_servers)
    await migrate(DatabaseSettings(url=server.url), SOURCES)
    gateway = await start(database_url=server.url)
    await gateway.post(array(facebook()), x_correlation_id="mine")
    assert (await gateway.get(f"{BULK}/mine")).json["accepted"] == 1

    await asyncio.to_thread(server.kill)
    _assert_problem(await gateway.get(f"{BULK}/mine"), 503)
    assert (await gateway.post(array(facebook()), x_correlation_id="mine")).status == 200

    await asyncio.to_thread(server.start)
    assert (await gateway.get(f"{BULK}/mine")).json["accepted"] == 2
