"""Senders of every kind, good and bad, each bounded; what they saw is kept.

Invariant: every event has an id of its own, so that what was taken can be told from what was not.
"""

import asyncio
import json
import socket
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.fuzz.case import BULK_PATH
from tests.fuzz.connection import Answer, Broken, request
from tests.fuzz.program import Program
from tests.integration.gateway.events import facebook

JSON: Final = [(b"Content-Type", b"application/json")]
SAMPLE_S: Final = 0.05
HEALTH_WITHIN_S: Final = 5.0
_RECEIVED_BYTES: Final = 4096  # that a system keeps for who does not read, so that it is soon full


@dataclass
class Seen:
    """What the senders of a load saw. `taken` and `refused`: ids of events."""

    seconds: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    without_retry_after: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events a second that were taken."""
        return len(self.taken) / self.seconds

    @property
    def offered(self) -> float:
        """Events a second that were posted."""
        return (len(self.taken) + len(self.refused)) / self.seconds

    def note(self, answer: Answer, ids: Sequence[str]) -> None:
        """Keep an answer."""
        self.answers[answer.status] += 1
        if answer.status == 200:
            self.taken.update(ids)
        elif answer.status == 503:
            self.refused.update(ids)
            self.without_retry_after += not int(answer.headers.get("retry-after", "0"))


_BEFORE, _ID, _AFTER = json.dumps(facebook(eventId="|")).encode().partition(b"|")


def body(events: int) -> tuple[bytes, list[str]]:
    """A bare array of valid events, and their ids. Cheap, so that the senders are not what is overloaded."""
    run = uuid.uuid4().hex
    ids = [f"fb-{run}-{number}" for number in range(events)]
    return b"[" + b",".join(_BEFORE + one.encode() + _AFTER for one in ids) + b"]", ids


async def flood(program: Program, *, senders: int, events: int, seconds: float) -> Seen:
    """So many senders, each of which posts at once again when it is answered, whatever the answer."""
    seen, started = Seen(), time.monotonic()

    async def send() -> None:
        async with program.connection() as connection:
            while time.monotonic() - started < seconds:
                posted, ids = body(events)
                try:
                    seen.note(await connection.post(BULK_PATH, posted, JSON), ids)
                except Broken as error:
                    seen.broken.append(str(error))

    await asyncio.gather(*(send() for _ in range(senders)))
    seen.seconds = time.monotonic() - started
    return seen


class Watch:
    """Looks at the process and at its health all the while: in the block of `async with`."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.before_bytes = self.peak_bytes = program.rss_bytes()
        self.slowest_s = 0.0
        self.unwell: list[str] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def grown_bytes(self) -> int:
        """Peak over what it held at first."""
        return self.peak_bytes - self.before_bytes

    def __str__(self) -> str:
        before, peak, now = (
            round(rss / 2**20) for rss in (self.before_bytes, self.peak_bytes, self._program.rss_bytes())
        )
        return f"memory {before} MiB before, {peak} MiB at most, {now} MiB now; slowest health {self.slowest_s:.2f} s"

    async def _look(self) -> None:
        while True:
            started = time.monotonic()
            # A new connection each time, as a probe makes it.
            async with self._program.connection() as connection:
                try:
                    answer = await connection.get("/health/live", within_s=HEALTH_WITHIN_S)
                except Broken as error:
                    self.unwell.append(str(error))
                else:
                    if answer.status != 200:
                        self.unwell.append(str(answer.status))
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            self.peak_bytes = max(self.peak_bytes, self._program.rss_bytes())
            await asyncio.sleep(SAMPLE_S)


class Slow:
    """A sender of one byte every so often, whose body would take minutes."""

    def __init__(self, program: Program, *, every_s: float = 0.1) -> None:
        self._program = program
        self._every_s = every_s

    async def answer(self) -> bytes:
        """The status line of the answer that it gets before it is done. Raises TimeoutError, OSError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._program.port)
        head, _, posted = request(BULK_PATH, body(20)[0], JSON).partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        sending = asyncio.create_task(self._drip(writer, posted))
        try:
            return await asyncio.wait_for(reader.readline(), 30)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.transport.abort()

    async def _drip(self, writer: asyncio.StreamWriter, posted: bytes) -> None:
        for byte in posted:
            writer.write(bytes((byte,)))
            await asyncio.sleep(self._every_s)


class Deaf:
    """A sender that posts as much as its connection takes, and never reads an answer."""

    def __init__(self, program: Program, posted: bytes) -> None:
        self._program = program
        self._request = request(BULK_PATH, posted, JSON)
        self._writer: asyncio.StreamWriter | None = None
        self.sent = 0

    async def send(self, seconds: float) -> None:
        """Post until nothing more is taken, for so many seconds; the connection stays open."""
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_BYTES)
        small.setblocking(False)
        await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", self._program.port))
        _, writer = await asyncio.open_connection(sock=small)
        self._writer = writer
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    writer.write(self._request)
                    await writer.drain()
                    self.sent += 1
        except (TimeoutError, OSError):
            return

    def close(self) -> None:
        """Give up."""
        if self._writer is not None:
            self._writer.transport.abort()
