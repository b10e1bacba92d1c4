"""Collectors that are away: the gateway stops taking before anything unread is evicted, and starts again."""

import json
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import nats
import pytest
from nats.js.api import StreamState

from streams.subjects import COLLECTOR
from tests.fuzz.case import BULK_PATH
from tests.fuzz.connection import Answer
from tests.fuzz.program import Program, gateway
from tests.integration.collectors.program import MIGRATE, run, started
from tests.integration.gateway.conftest import eventually
from tests.overload.conftest import Form
from tests.overload.load import JSON, body
from tests.servers import free_port

SOURCE = "facebook"
LIMITS = {
    "STREAM_MAX_MESSAGES": "400",
    "BACKLOG_CLOSE_AT": "0.5",
    "BACKLOG_OPEN_AT": "0.3",
    "BACKLOG_INTERVAL": "50",
    "LOG_LEVEL": "info",
}
# At half of 400, or a little before: what is published during a reading counts twice until the next one.
CLOSES_AT, KEEPS = 180, 400
STILL_REFUSED = 20
BLIND_WITHIN_S = 45.0


@dataclass
class Posted:
    """Ids by what became of their requests, and the first refusal."""

    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    refusal: Answer | None = None


async def _post_until_refused(program: Program, posted: Posted) -> None:
    """One after the other, a message each; the stream could never hold that many."""
    async with program.connection() as connection:
        for _ in range(2 * KEEPS):
            sent, ids = body(2)
            answer = await connection.post(BULK_PATH, sent, JSON)
            if answer.status != 200:
                posted.refused.update(ids)
                posted.refusal = answer
                return
            posted.taken.update(ids)
    raise AssertionError("nothing was refused")


async def _state(nats_url: str, program: Program) -> StreamState:
    client = await nats.connect(nats_url)
    try:
        return (await client.jetstream().stream_info(program.names.stream(SOURCE))).state
    finally:
        await client.close()


def _assert_refused(answer: Answer | None, words: str) -> None:
    assert answer is not None
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert words in json.loads(answer.body)["detail"]


async def test_without_a_collector_it_closes_in_time_and_opens_by_itself_once_one_has_caught_up(
    nats_url: str, database_url: str
) -> None:
    posted = Posted()
    async with gateway(nats_url, **LIMITS) as program:
        await _post_until_refused(program, posted)
        _assert_refused(posted.refusal, "the collectors are too far behind on facebook")
        for _ in range(STILL_REFUSED):
            sent, ids = body(2)
            async with program.connection() as connection:
                assert (await connection.post(BULK_PATH, sent, JSON)).status == 503
            posted.refused.update(ids)

        state = await _state(nats_url, program)
        assert state.first_seq == 1  # nothing was evicted
        assert state.messages == len(posted.taken) // 2
        assert CLOSES_AT <= state.messages < KEEPS
        assert await program.answers("/health/live", 200)
        assert await program.answers("/health/ready", 503, "the collectors are too far behind on facebook")
        assert await program.answers("/metrics", 200, 'gateway_requests_refused_total{reason="backlog"}')
        assert _changes(program) == [[SOURCE]]

        await _collect(nats_url, database_url, program, posted)
        assert _changes(program) == [[SOURCE], []]


async def _collect(nats_url: str, database_url: str, program: Program, posted: Posted) -> None:
    """A collector comes: the gateway opens, and all that was taken is stored, and nothing else."""
    environment = {
        "NATS_URL": nats_url, "DATABASE_URL": database_url, "STREAM_PREFIX": program.names.prefix,
        "OPS_PORT": str(free_port()), "PROVISION_ON_START": "false", "LOG_FORMAT": "json", "LOG_LEVEL": "error",
    }  # fmt: skip
    migrated = await run(*MIGRATE, environment=environment)
    assert migrated.code == 0, migrated.said
    async with started("-m", "collectors", "--source", SOURCE, environment=environment):
        await eventually(lambda: program.answers("/health/ready", 200))
        async with program.connection() as connection:
            sent, ids = body(2)
            assert (await connection.post(BULK_PATH, sent, JSON)).status == 200
        posted.taken.update(ids)
        database = await asyncpg.connect(database_url)
        try:

            async def all_stored() -> bool:
                return bool(await database.fetchval("SELECT count(*) FROM events") >= len(posted.taken))

            await eventually(all_stored)
            rows = [row["event_id"] for row in await database.fetch("SELECT event_id FROM events")]
        finally:
            await database.close()
    assert sorted(rows) == sorted(posted.taken)
    assert not posted.refused & set(rows)


async def test_it_closes_when_it_can_not_see_the_backlog_and_opens_when_it_can(nats_url: str, form: Form) -> None:
    if not form.is_full:
        pytest.skip("it takes half a minute to be blind for too long: make test-overload")
    client = await nats.connect(nats_url)
    try:
        async with gateway(nats_url, **LIMITS) as program:
            stream = program.names.stream(SOURCE)
            config = (await client.jetstream().consumer_info(stream, COLLECTOR)).config
            await client.jetstream().delete_consumer(stream, COLLECTOR)
            await eventually(
                lambda: program.answers("/health/ready", 503, "the backlog could not be read"), BLIND_WITHIN_S
            )
            async with program.connection() as connection:
                _assert_refused(await connection.post(BULK_PATH, body(2)[0], JSON), "the backlog could not be read")
            assert (await _state(nats_url, program)).messages == 0
            await client.jetstream().add_consumer(stream, config)
            await eventually(lambda: program.answers("/health/ready", 200))
            async with program.connection() as connection:
                assert (await connection.post(BULK_PATH, body(2)[0], JSON)).status == 200
    finally:
        await client.close()


def _changes(program: Program) -> list[Any]:
    """What the log says of the guard, in order."""
    entries = [json.loads(line) for line in program.said().splitlines() if line.startswith("{")]
    return [entry["closed_for"] for entry in entries if entry["event"] == "backlog_guard_changed"]
