"""From the webhook to the tables and back in a receipt, with everything as `make run` starts it."""

import asyncio
import gzip
import json
import uuid
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.events import SOURCES
from tests.e2e.stack import READY_WITHIN_S, STORED_WITHIN_S, Stack, array, program, python, stack, until
from tests.servers import free_port
from tests.unit.collectors.samples import SHAPES, event

pytestmark = pytest.mark.usefixtures("usual_ports")

LOAD_EVENTS = 5_000
MAX_REQUESTS = 400


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all stories here: each has events of its own."""
    return tmp_path_factory.mktemp("e2e") / "data"


def unique() -> str:
    return f"story-{uuid.uuid4().hex}"


def mixed(story: str, count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Events of all shapes in turn, those at the bottom of the funnel with an amount."""
    return [event(f"{story}-{at}", SHAPES[at % 4], amount="2.50") for at in range(first, first + count)]


async def test_every_form_of_body_is_stored_once_whatever_is_sent_again_and_kept_over_a_restart(
    data_dir: Path,
) -> None:
    story = unique()
    wrong = event(f"{story}-wrong") | {"eventType": "nonsense"}
    single = event(f"{story}-single", amount="2.50")
    requests: list[tuple[bytes, dict[str, str], int]] = [
        (array(mixed(story, 1_000)), {}, 1_000),
        (orjson.dumps({"events": mixed(story, 100, first=1_000)}), {}, 100),
        (b"\n".join(map(orjson.dumps, mixed(story, 100, first=1_100))), {"media_type": "application/x-ndjson"}, 100),
        (gzip.compress(array(mixed(story, 100, first=1_200))), {"Content-Encoding": "gzip"}, 100),
        (zlib.compress(array(mixed(story, 100, first=1_300))), {"Content-Encoding": "deflate"}, 100),
        (array([wrong, *mixed(story, 99, first=1_400), wrong]), {}, 99),
        (array(mixed(story, 100, first=1_399)), {}, 100),
        (orjson.dumps(single), {"path": ""}, 1),
    ]
    accepted = sum(count for *_, count in requests)
    # 1,399 to 1,498 came twice; a quarter of all is at the bottom of each platform's funnel.
    different = 1_499 + 1

    async with stack(data_dir) as running:
        before = await running.tables()
        for body, how, count in requests:
            status, answer = await running.post(body, correlation_id=story, **how)
            assert (status, answer["processed"]) == (200, count), answer
        receipt = await running.receipt(story, accepted=accepted)
        assert (receipt["stored"], receipt["duplicates"], receipt["failed"]) == (different, accepted - different, 2)
        assert set(receipt["bySource"]) == set(SOURCES)
        stored = await running.tables()
        amounts = sum(at % 4 in {1, 3} for at in range(1_499)) + 1
        assert {table: stored[table] - before[table] for table in stored} == {
            "events": different, "demographics": different, "revenue": amounts,
        }  # fmt: skip
        [kept] = await running.fetch("SELECT data::text FROM events WHERE event_id = $1", f"{story}-single")
        assert json.loads(kept[0]) == single["data"]

        again = unique()
        for body, how, _ in requests:
            await running.post(body, correlation_id=again, **how)
        receipt = await running.receipt(again, accepted=accepted)
        assert (receipt["stored"], receipt["duplicates"]) == (0, accepted)
        assert await running.tables() == stored

        assert await running.stop() == 0, running.said()

    async with stack(data_dir) as running:
        assert await running.tables() == stored
        assert (await running.receipt(story, accepted=accepted))["stored"] == different
        assert (await running.receipt(again, accepted=accepted))["duplicates"] == accepted


async def test_sigterm_in_the_middle_of_a_load_loses_nothing_that_was_answered_with_2xx(data_dir: Path) -> None:
    story = unique()
    answered: list[str] = []
    asked = 0

    async def send(running: Stack) -> None:
        nonlocal asked
        while asked < MAX_REQUESTS:
            asked += 1
            events = mixed(story, 500, first=asked * 500)
            try:
                status, answer = await running.post(array(events), correlation_id=story)
            except (aiohttp.ClientError, OSError):
                return  # it no longer listens
            if status == 200:
                assert answer["processed"] == len(events)
                answered.extend(one["eventId"] for one in events)

    async with stack(data_dir) as running:
        senders = [asyncio.create_task(send(running)) for _ in range(3)]

        async def under_way() -> bool:
            return len(answered) >= 5_000

        await until(under_way, within_s=STORED_WITHIN_S)
        assert await running.stop() == 0, running.said()
        await asyncio.gather(*senders)
    assert asked < MAX_REQUESTS, "it was stopped in the middle"

    # Another number of streams leaves no message without a reader; smaller limits make room for them beside the old.
    async with stack(data_dir, PARTITIONS="3", STREAM_MAX_BYTES=str(1024**3)) as running:

        async def stored() -> bool:
            found = await running.fetch("SELECT count(*) FROM events WHERE event_id = ANY ($1)", answered)
            return bool(found[0][0] == len(answered))

        await until(stored, within_s=STORED_WITHIN_S)
        again = mixed(story, 500, first=500)  # the second request; if it was answered, all of them are known
        status, answer = await running.post(array(again), correlation_id=f"{story}-again")
        assert (status, answer["processed"]) == (200, 500)
        await running.receipt(f"{story}-again", accepted=500)
        doubled = await running.fetch("SELECT event_id FROM events GROUP BY source, event_id HAVING count(*) > 1")
        assert doubled == []


async def flushed(ops_url: str) -> float:
    """Events in the flushes of a collector so far."""
    async with aiohttp.ClientSession() as session, session.get(f"{ops_url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = (sample for family in families for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == "collector_flush_events_sum")


async def is_ready(ops_url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{ops_url}/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_status_shows_the_parts_a_second_collector_shares_the_work_and_the_bulk_test_is_met(
    data_dir: Path,
) -> None:
    story = unique()
    async with stack(data_dir) as running:
        shown = running.status
        assert shown["gateway"].keys() == {"pid", "url"}
        assert shown["nats"].keys() == {"pid", "url", "monitor_url"}
        assert shown["postgres"].keys() == {"pid", "dsn"}
        assert [one["source"] for one in shown["collectors"]] == list(SOURCES)
        first_url = next(one["ops_url"] for one in shown["collectors"] if one["source"] == "facebook")

        second_url = f"http://127.0.0.1:{free_port()}"
        second = program(
            "-m", "collectors", "--source", "facebook", "--ops-port", second_url.rpartition(":")[2],
            NATS_URL=shown["nats"]["url"], DATABASE_URL=running.dsn,
            PROVISION_ON_START="false", MIGRATE_ON_START="false",
        )  # fmt: skip
        async with second:
            await until(lambda: is_ready(second_url), within_s=READY_WITHIN_S)
            before, sent = await flushed(first_url), 0
            while sent < 2_000 or not (await flushed(first_url) > before and await flushed(second_url)):
                assert sent < 40_000, "only one of them works"
                events = [event(f"{story}-{at}") for at in range(sent, sent + 100)]
                await running.post(array(events), correlation_id=story)
                sent += 100
            receipt = await running.receipt(story, accepted=sent)
            assert (receipt["stored"], receipt["duplicates"]) == (sent, 0)

            async def each_message_went_to_one() -> bool:
                """A flush is counted a moment after its commit, which is what the receipt tells."""
                return await flushed(first_url) - before + await flushed(second_url) == sent

            await until(each_message_went_to_one, within_s=STORED_WITHIN_S)

        code, said = await python(
            "-m", "loadtest", "--json", "--url", running.url, "--total", str(LOAD_EVENTS), "--min-rate", "1",
            "--invalid", "0.01", "--duplicates", "0.02",
        )  # fmt: skip
        result = json.loads(said)
        assert code == 0, said
        assert result["outcome"] == "met"
        figures = result["events"]
        assert figures["accepted"] == LOAD_EVENTS * 99 // 100
        assert figures["stored"] + figures["duplicates"] == figures["accepted"]
        assert (figures["deadLettered"], figures["missing"], figures["surplus"]) == (0, 0, 0)
