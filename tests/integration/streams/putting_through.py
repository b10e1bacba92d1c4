"""What the tests of dead letters and of replays have in common: real collectors, and the commands run on them."""

import io
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from shared.outcomes import DeadLetterReason
from streams import cli
from streams.dead_letter import DeadLetter, DeadLetters
from streams.dead_letters_cli import DeadLetterCommands
from streams.pace import Pace
from streams.publisher import Publisher
from streams.replay_cli import ReplayCommand
from streams.settings import PublishSettings
from streams.terminal import Ask
from tests.integration.collectors.rig import Rig, rig, until
from tests.unit.collectors.samples import event, headers

NONE_IS_BAD = "ALTER TABLE events ADD CONSTRAINT none_is_bad CHECK (event_id NOT LIKE 'bad%')"
BAD_IS_FINE = "ALTER TABLE events DROP CONSTRAINT none_is_bad"
PUBLISH = PublishSettings(timeout_ms=2_000, retry_wait_ms=20)


@pytest.fixture
async def collecting(nats_url: str, database_url: str) -> AsyncIterator[Rig]:
    """Streams and tables of this test's own."""
    async with rig(nats_url, database_url) as made:
        yield made


def events(*ids: str) -> list[dict[str, Any]]:
    return [event(event_id, amount="1.50") for event_id in ids]


async def no_question(question: str) -> bool:
    raise AssertionError(f"nobody is to be asked: {question}")


class Answer:
    """Somebody who always says the same."""

    def __init__(self, answer: bool) -> None:
        self._answer = answer
        self.asked: list[str] = []

    async def __call__(self, question: str) -> bool:
        self.asked.append(question)
        return self._answer


async def run(
    collecting: Rig, *arguments: str, asked: Ask = no_question, pace: Pace | None = None, out: io.StringIO | None = None
) -> str:
    """What `python -m streams` with these arguments writes to standard output. Raises what it ends with."""
    out = io.StringIO() if out is None else out
    parsed = cli.parse(arguments)
    if parsed.command == "replay":
        command = ReplayCommand(collecting.connection, collecting.names, PUBLISH, out=out, is_asked=asked)
        await command.run(parsed, pace=pace)
    else:
        letters = DeadLetterCommands(collecting.connection, collecting.names, PUBLISH, out=out, is_asked=asked)
        await letters.run(parsed)
    return out.getvalue()


async def bury(collecting: Rig, *ids: str, correlation_id: str = "c-1") -> str:
    """Have these events stored, the bad ones dead-lettered, by a table that refuses them; the message's id."""
    await collecting.execute(NONE_IS_BAD)
    message_id = await collecting.send(events(*ids), correlation_id=correlation_id)
    async with collecting.collector():
        await collecting.all_settled()
    await collecting.execute(BAD_IS_FINE)
    return message_id


async def collect(collecting: Rig) -> None:
    """Have everything stored that is in the stream."""
    async with collecting.collector():
        await collecting.all_settled()


async def outlive_duplicate_window(collecting: Rig) -> None:
    """Make the broker forget every message id that it has seen in the source's stream."""
    jetstream = collecting.connection.jetstream
    config = (await jetstream.stream_info(collecting.stream)).config
    await jetstream.update_stream(config.evolve(duplicate_window=0.1))
    # The newest id is the last to be forgotten, so this one, of a message without events, stands for all.
    probe = headers("probe", correlation_id="probe", events=0).encode()

    async def forgotten() -> bool:
        return not (await jetstream.publish(collecting.names.events("facebook"), b"[]", headers=dict(probe))).duplicate

    await forgotten()
    await until(forgotten)


async def park(collecting: Rig, body: bytes, **about: Any) -> None:
    """Park anything."""
    letter: dict[str, Any] = {
        "source": "facebook", "reason": DeadLetterReason.UNDECODABLE, "error": "broken", "stream": collecting.stream,
        "stream_seq": 1, "attempts": 1, "correlation_id": "c-1", "origin_id": f"m-{body!r:.20}", "index": 0,
    }  # fmt: skip
    letters = DeadLetters(Publisher(collecting.connection, PUBLISH, metrics=None), collecting.names)
    await letters.park(DeadLetter(body=body, **(letter | about)))


async def listed(collecting: Rig, *filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(await run(collecting, "dead-letters", "list", "--json", *filters))
    return found
