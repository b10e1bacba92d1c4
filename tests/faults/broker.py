"""The suite's own look at JetStream: past the links, so that it sees while the product does not.

Every question is asked again until it is answered or its deadline has passed: servers come and go here.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import nats
import nats.errors
import orjson
from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError

from streams.dead_letter import REASON
from streams.subjects import COLLECTOR, Names
from tests.faults.waiting import POLL_S, until

ASK_TIMEOUT_S: Final = 2.0
DEADLINE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Position:
    """One stream and its collectors' place in it, in stream sequences. `unread` counts messages."""

    first_seq: int
    last_seq: int
    ack_floor: int
    unread: int

    def is_read_to(self, sequence: int) -> bool:
        """Whether everything up to `sequence` was acknowledged."""
        return self.unread == 0 or self.ack_floor >= sequence


class Broker:
    """Asks the servers at `urls`. Connects when it is first asked."""

    def __init__(self, urls: Iterable[str], sources: Iterable[str]) -> None:
        self._urls = list(urls)
        self._client: Client | None = None
        self.names = Names()
        self.sources = tuple(sources)

    async def close(self) -> None:
        """Disconnect. Never raises."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await client.close()

    async def ask(self, subject: str, question: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request to the JetStream API. Raises APIError for a refusal, TimeoutError past the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    client = await self._connected()
                    payload = orjson.dumps(question) if question is not None else b""
                    answer = await client.request(f"$JS.API.{subject}", payload, timeout=ASK_TIMEOUT_S)
                except (nats.errors.Error, OSError, TimeoutError):
                    await asyncio.sleep(POLL_S)
                    continue
                body: dict[str, Any] = orjson.loads(answer.data)
                if (error := body.get("error")) is None:
                    return body
                if error.get("code") != 503:  # no leader, not available: passing
                    raise APIError.from_error(error)
                await asyncio.sleep(POLL_S)

    async def position(self, source: str) -> Position | None:
        """Of the source's stream; None while there is no consumer."""
        stream = self.names.stream(source)
        info = await self.ask(f"STREAM.INFO.{stream}")
        try:
            consumer = await self.ask(f"CONSUMER.INFO.{stream}.{COLLECTOR}")
        except NotFoundError:
            return None
        return Position(
            info["state"]["first_seq"],
            info["state"]["last_seq"],
            consumer["ack_floor"]["stream_seq"],
            consumer["num_pending"] + consumer["num_ack_pending"],
        )

    async def last_sequences(self) -> dict[str, int]:
        """The newest message of each source's stream."""
        infos = {source: await self.ask(f"STREAM.INFO.{self.names.stream(source)}") for source in self.sources}
        return {source: info["state"]["last_seq"] for source, info in infos.items()}

    async def read_to_here(self, *, within_s: float) -> None:
        """Wait until all that is in the streams now was acknowledged by the collectors. Raises TimeoutError."""
        marks = await self.last_sequences()

        async def are_read() -> bool:
            for source, mark in marks.items():
                position = await self.position(source)
                if position is None or not position.is_read_to(mark):
                    return False
            return True

        await until(are_read, within_s=within_s)

    async def dead_letters(self, *, after_seq: int) -> tuple[list[tuple[str, str]], int]:
        """Event id and reason of each dead letter after a sequence, and the last sequence there is."""
        stream = self.names.dead_letters_stream
        last_seq = (await self.ask(f"STREAM.INFO.{stream}"))["state"]["last_seq"]
        client = await self._connected()
        found = []
        for sequence in range(after_seq + 1, last_seq + 1):
            message = await client.jetstream().get_msg(stream, seq=sequence, direct=True)
            events = orjson.loads(message.data or b"")
            reason = (message.headers or {}).get(REASON, "")
            found += [(event["eventId"], reason) for event in (events if isinstance(events, list) else [events])]
        return found, last_seq

    async def _connected(self) -> Client:
        if self._client is None or self._client.is_closed:
            self._client = await nats.connect(
                servers=self._urls,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.1,
                ping_interval=1,
                max_outstanding_pings=2,
                connect_timeout=2,
                allow_reconnect=True,
                error_cb=_ignore,
            )
        return self._client


async def _ignore(_error: Exception) -> None:
    """Its connection breaks with every server that is killed: that is what the suite is for."""
