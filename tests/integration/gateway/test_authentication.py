"""Who may come in: keys, sources, scopes, the internal port; and what a request without them opens."""

import pytest

from gateway.senders import key_hash
from tests.integration.gateway.conftest import Running, Start
from tests.integration.gateway.events import array, facebook, tiktok
from tests.integration.gateway.guarding import ACME, BULK, NEXT, OLD, ONE, READER, SENDERS, refused


@pytest.mark.parametrize("path", [BULK, ONE])
async def test_without_a_credential_nothing_is_taken(guarded: Running, path: str) -> None:
    refused(await guarded.post(array(facebook()), path=path), 401, "send an API key in the header x-api-key")
    refused(await guarded.post(b"not even JSON", path=path), 401, "send an API key")
    assert await guarded.stored("facebook") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": ""},
        {"x_api_key": ACME[:-1]},
        {"x_api_key": ACME + " "},
        {"x_api_key": key_hash(ACME)},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {ACME}"},
        {"Authorization": "Bearer \u00e9"},
        {"x_api_key": "wrong", "Authorization": f"Bearer {ACME}"},
    ],
)
async def test_a_wrong_credential_is_401(guarded: Running, headers: dict[str, str]) -> None:
    if headers.get("x_api_key", "").endswith(" "):
        headers = {"x_api_key": ACME + "\u00a0"}  # a blank at the end is no part of a header's value
    refused(await guarded.post(array(facebook()), **headers), 401, "The sender is not known")
    assert await guarded.stored("facebook") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": ACME},
        {"x_api_key": NEXT},
        {"Authorization": f"Bearer {ACME}"},
        {"authorization": f"bearer  {NEXT}"},
    ],
)
async def test_both_keys_of_a_sender_are_taken_in_either_header(guarded: Running, headers: dict[str, str]) -> None:
    assert (await guarded.post(array(facebook()), **headers)).status == 200
    assert (await guarded.post(array(facebook())[1:-1], path=ONE, **headers)).status == 200
    assert {message.headers["Floodgate-Sender"] for message in await guarded.stored("facebook")} == {"acme"}


async def test_the_senders_name_is_in_the_log_and_the_metrics_and_its_key_is_not(guarded: Running) -> None:
    await guarded.post(array(facebook(), tiktok()), x_api_key=ACME)
    await guarded.post(array(facebook()), x_api_key="a-wrong-key")
    logged = [entry for entry in guarded.log.entries if entry["event"] == "bulk_answered"]
    assert [entry["sender"] for entry in logged] == ["acme"]
    metrics = (await guarded.request("GET", "/metrics", headers={"x-api-key": READER})).body.decode()
    assert 'gateway_sender_events_total{sender="acme"} 1.0' in metrics
    assert 'gateway_sender_requests_total{sender="acme",status="200"} 1.0' in metrics
    assert 'gateway_requests_refused_total{reason="unauthenticated"} 1.0' in metrics
    for text in (metrics, repr(guarded.log.entries)):
        assert ACME not in text
        assert "a-wrong-key" not in text


async def test_who_is_refused_is_in_the_log_and_the_metrics_by_name(guarded: Running) -> None:
    await guarded.post(array(facebook()), x_api_key=OLD)
    await guarded.post(array(facebook()), x_api_key=READER)
    await guarded.post(array(facebook()), x_api_key="a-wrong-key")
    logged = [entry for entry in guarded.log.entries if entry["event"] == "request_refused"]
    assert [entry["sender"] for entry in logged] == ["old", "reader", None]
    metrics = (await guarded.request("GET", "/metrics", headers={"x-api-key": READER})).body.decode()
    assert 'gateway_sender_requests_total{sender="old",status="401"} 1.0' in metrics
    assert 'gateway_sender_requests_total{sender="reader",status="403"} 1.0' in metrics
    assert 'gateway_sender_events_total{sender="old"} 0.0' in metrics


async def test_an_expired_key_is_401(guarded: Running) -> None:
    refused(await guarded.post(array(facebook()), x_api_key=OLD), 401, "expired on 2020-01-01")


async def test_events_of_a_source_that_is_not_the_senders_are_refused_alone(guarded: Running) -> None:
    mine, other = facebook(), tiktok()
    answer = await guarded.post(array(mine, other), x_api_key=ACME)
    assert (answer.status, answer.json["processed"], answer.json["failed"]) == (200, 1, 1)
    assert answer.json["errorDetails"] == [
        {
            "index": 1,
            "eventId": other["eventId"],
            "code": "forbidden_source",
            "field": "source",
            "message": "This sender may not send events of this source",
            "retryable": False,
        }
    ]
    assert await guarded.stored("tiktok") == []


@pytest.mark.parametrize("path", [BULK, ONE])
async def test_a_request_with_nothing_but_another_source_is_403(guarded: Running, path: str) -> None:
    body = array(tiktok()) if path == BULK else array(tiktok())[1:-1]
    answer = await guarded.post(body, path=path, x_api_key=ACME)
    assert (answer.status, answer.json["success"], answer.json["failed"]) == (403, False, 1)
    assert await guarded.stored("tiktok") == []


async def test_a_scope_that_is_missing_is_403(guarded: Running) -> None:
    refused(await guarded.post(array(facebook()), x_api_key=READER), 403, "reader has no scope ingest; it has read")
    for path in (f"{BULK}/an-id", "/metrics"):
        refused(await guarded.get(path), 401, "send an API key")
        refused(
            await guarded.request("GET", path, headers={"x-api-key": ACME}),
            403,
            "acme has no scope read; it has ingest",
        )
    assert (await guarded.request("GET", "/metrics", headers={"x-api-key": READER})).status == 200


async def test_health_is_told_to_anyone(guarded: Running) -> None:
    assert (await guarded.get("/health/live")).status == 200
    assert (await guarded.get("/health/ready")).status == 200


async def test_an_internal_port_takes_over_what_is_read(start: Start) -> None:
    running = await start(senders=SENDERS.split("[senders.hooks]", maxsplit=1)[0], internal_port=0)
    public, internal = running.gateway.url, running.gateway.internal_url
    assert public != internal
    for path in ("/metrics", f"{BULK}/an-id"):
        assert (await running.request("GET", path, headers={"x-api-key": READER})).status == 404
    running.gateway.url = internal
    assert (await running.get("/metrics")).status == 200
    refused(await running.get(f"{BULK}/an-id"), 401, "send an API key")
    assert (await running.get("/health/ready")).status == 200
    assert (await running.post(array(facebook()), x_api_key=ACME)).status == 404


async def test_an_open_gateway_says_so(start: Start) -> None:
    running = await start()
    assert [entry["log_level"] for entry in running.log.entries if entry["event"] == "gateway_open"] == ["warning"]
    assert (await running.post(array(facebook()))).status == 200
    assert "Floodgate-Sender" not in (await running.stored("facebook"))[0].headers


ADMIN = "fgk_admin"


async def test_the_console_shows_its_page_to_anyone_its_data_to_readers_and_acts_for_admins(start: Start) -> None:
    running = await start(
        senders=f"""
        [senders.acme]
        key_hashes = ["{key_hash(ACME)}"]
        [senders.reader]
        scopes = ["read"]
        key_hashes = ["{key_hash(READER)}"]
        [senders.admin]
        scopes = ["read", "admin"]
        key_hashes = ["{key_hash(ADMIN)}"]
        """
    )
    assert (await running.get("/")).status == 200

    async def status(method: str, path: str, key: str | None) -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return (await running.request(method, path, headers=headers, json={} if method == "POST" else None)).status

    for path in ("/console/requests", "/console/dead-letters"):
        assert [await status("GET", path, key) for key in (None, ACME, READER, ADMIN)] == [401, 403, 200, 200]
    drop = "/console/dead-letters/drop"
    assert [await status("POST", drop, key) for key in (None, ACME, READER, ADMIN)] == [401, 403, 403, 200]
