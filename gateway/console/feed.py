"""`GET /console/stream`: server-sent events, one stream for everything the page shows.

Invariant: bounded. At most MAX_CLIENTS listen; one that reads too slowly skips to the newest snapshot and is
let go after WRITE_TIMEOUT_S. Every stream ends when the gateway drains.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import ClientConnectionError, web

from gateway.console.headers import PRIVATE

MAX_CLIENTS: Final = 64
HISTORY_POINTS: Final = 600
"""Ten minutes, at one a second: a page that is opened has its charts at once."""

MAX_REQUESTS: Final = 200
HEARTBEAT_S: Final = 5.0
"""After this long without a snapshot a comment is sent, so that neither side takes silence for life."""

WRITE_TIMEOUT_S: Final = 10.0


class Feed:
    """The latest snapshot, the points and requests before it, and who listens."""

    def __init__(self, hello: Mapping[str, Any]) -> None:
        self._hello = dict(hello)
        self._points: deque[Mapping[str, Any]] = deque(maxlen=HISTORY_POINTS)
        self._requests: deque[Any] = deque(maxlen=MAX_REQUESTS)
        self._latest: tuple[Mapping[str, Any], list[Any]] | None = None
        self._snapshot = b""
        self._ordinal = 0
        self._news = asyncio.Event()
        self._has_ended = False
        self.clients = 0

    def publish(self, point: Mapping[str, Any], requests: list[Any], snapshot: bytes) -> None:
        """Make a snapshot the latest and wake everybody."""
        self._retire_latest()
        self._latest = point, requests
        self._snapshot = snapshot
        self._ordinal += 1
        self._wake()

    @property
    def requests(self) -> list[Any]:
        """The latest ones, oldest first."""
        return [*self._requests, *(self._latest[1] if self._latest is not None else ())]

    def end(self) -> None:
        """End every stream, and take no new one."""
        self._has_ended = True
        self._wake()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """A hello with the history, then a snapshot a second, until either side ends."""
        if self._has_ended or self.clients >= MAX_CLIENTS:
            raise web.HTTPServiceUnavailable(
                reason="The gateway is stopping" if self._has_ended else f"{self.clients} pages are open already"
            )
        answer = web.StreamResponse(headers={**PRIVATE, "X-Accel-Buffering": "no"})
        answer.content_type = "text/event-stream"
        answer.charset = "utf-8"
        await answer.prepare(request)
        self.clients += 1
        try:
            await self._send(answer)
        except (ClientConnectionError, ConnectionResetError, TimeoutError):
            pass  # the page was closed, or does not read
        finally:
            self.clients -= 1
        return answer

    async def _send(self, answer: web.StreamResponse) -> None:
        history = {"points": list(self._points), "requests": list(self._requests)}
        await self._send_event(answer, b"hello", msgspec.json.encode(self._hello | history))
        sent = 0
        while not self._has_ended:
            news = self._news
            if sent != self._ordinal:
                sent = self._ordinal
                await self._send_event(answer, b"snapshot", self._snapshot)
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await news.wait()
            except TimeoutError:
                await self._write(answer, b": still here")
        await self._send_event(answer, b"end", b"{}")

    async def _send_event(self, answer: web.StreamResponse, event: bytes, data: bytes) -> None:
        await self._write(answer, b"event: " + event + b"\ndata: " + data)

    async def _write(self, answer: web.StreamResponse, text: bytes) -> None:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await answer.write(text + b"\n\n")

    def _retire_latest(self) -> None:
        """What is history is not in the latest snapshot, which follows the hello: nothing is sent twice."""
        if self._latest is not None:
            self._points.append(self._latest[0])
            self._requests.extend(self._latest[1])

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
