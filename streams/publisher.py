"""Publish a message: durable, or a typed error.

Invariant: `publish` returns only after the broker has written the message to its disk. Each attempt
carries the same `Nats-Msg-Id`, so a retry after a lost acknowledgement does not store it twice.

What nats-py does not do by itself, and is done here: a deadline over the whole attempt (sending too, not
only the reply), no sending while disconnected (it would buffer, and send after the caller has given up),
a size check that counts the headers (the server closes the connection for good on an oversized message),
and bounds on messages in flight and on bytes that the server has not read.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final

import nats.errors
from nats.js.errors import APIError, NoStreamResponseError

from shared.errors import GivenUp, NotDurable
from shared.metrics import GatewayMetrics
from shared.outcomes import PublishFailure
from shared.retry import with_retries
from streams.connection import Connection
from streams.settings import PublishSettings

HEADERS_ROOM_BYTES: Final = 8 * 1024
"""Kept free under max_payload for headers, which the server counts and nats-py does not."""

MAX_RETRY_WAIT_S: Final = 2.0

MAX_UNSENT_BYTES: Final = 64 * 1024 * 1024
"""More wait for a server that does not read: each attempt would put its message behind them once more. Far above what
messages in flight come to while it reads.
"""

_STREAM_FULL: Final = frozenset({10002, 10023, 10077})
"""How the server refuses a message for want of room: the account's, its own, the stream's (with discard new)."""

_HEADER_LINE_BYTES: Final = len("NATS/1.0\r\n\r\n")
_HEADER_BYTES: Final = len(": \r\n")


@dataclass(frozen=True, slots=True)
class Published:
    """Where a message stands: its stream and sequence. `duplicate` where the broker knew its id already."""

    stream: str
    sequence: int
    duplicate: bool


class Publisher:
    """Publishes messages with retries, a bounded number at a time. One per process."""

    def __init__(self, connection: Connection, settings: PublishSettings, *, metrics: GatewayMetrics | None) -> None:
        self._connection = connection
        self._settings = settings
        self._metrics = metrics
        self._room = asyncio.Semaphore(settings.max_in_flight)

    @property
    def max_body_bytes(self) -> int:
        """The longest body that `publish` takes."""
        return max(1, self._connection.max_payload_bytes - HEADERS_ROOM_BYTES)

    async def publish(
        self,
        subject: str,
        body: bytes,
        headers: dict[str, str],
        *,
        given_up: Callable[[], PublishFailure | None] = lambda: None,
    ) -> Published:
        """Publish and wait until durable; waits for room in flight first.

        `headers` must hold a `Nats-Msg-Id`. Raises NotDurable after the last attempt: the message may
        then still become durable, unseen, and publishing it again with the same id is safe. `given_up` is
        asked once there is room, and after each failed attempt: why nobody waits for the message any more.
        Raises GivenUp where it was not sent for that. Raises ValueError for a body over `max_body_bytes` or
        headers over HEADERS_ROOM_BYTES, sent nowhere.
        """
        if len(body) > self.max_body_bytes:
            raise ValueError(f"a message of {len(body)} bytes; the server takes {self.max_body_bytes}")
        if (headers_bytes := _size(headers)) > HEADERS_ROOM_BYTES:
            raise ValueError(f"headers of {headers_bytes} bytes; there is room for {HEADERS_ROOM_BYTES}")
        async with self._room:
            if (failure := given_up()) is not None:
                raise GivenUp(failure, "there was no room for it in time")
            started = perf_counter()
            try:
                return await with_retries(
                    partial(self._attempt, subject, body, headers),
                    self._settings.attempts,
                    first_wait_s=self._settings.retry_wait_ms / 1_000,
                    max_wait_s=MAX_RETRY_WAIT_S,
                    before_retry=self._count_retry,
                    given_up=lambda: given_up() is not None,
                )
            except NotDurable as error:
                if self._metrics:
                    self._metrics.publish_failures.labels(error.failure).inc()
                raise
            finally:
                if self._metrics:
                    self._metrics.publish_seconds.observe(perf_counter() - started)

    def _count_retry(self) -> None:
        if self._metrics:
            self._metrics.publish_retries.inc()

    async def _attempt(self, subject: str, body: bytes, headers: dict[str, str]) -> Published:
        if not self._connection.is_connected:
            raise NotDurable(PublishFailure.NOT_CONNECTED, self._connection.detail)
        if (unsent := self._connection.unsent_bytes) > MAX_UNSENT_BYTES:
            raise NotDurable(PublishFailure.TIMEOUT, f"the server has yet to read {unsent} bytes")
        timeout_s = self._settings.timeout_ms / 1_000
        try:
            async with asyncio.timeout(timeout_s):
                ack = await self._connection.jetstream.publish(subject, body, timeout=timeout_s, headers=headers)
        except TimeoutError as error:
            raise NotDurable(PublishFailure.TIMEOUT, f"no acknowledgement within {timeout_s:g} s") from error
        except NoStreamResponseError as error:
            raise NotDurable(PublishFailure.NO_STREAM, f"no stream takes {subject}") from error
        except APIError as error:
            full = error.err_code in _STREAM_FULL
            failure = PublishFailure.STREAM_FULL if full else PublishFailure.BROKER_ERROR
            raise NotDurable(failure, f"{error.description} ({error.err_code})") from error
        except (nats.errors.Error, OSError) as error:
            raise NotDurable(PublishFailure.NOT_CONNECTED, repr(error)) from error
        return Published(ack.stream, ack.seq, bool(ack.duplicate))


def _size(headers: dict[str, str]) -> int:
    """Bytes of the headers on the wire, where they are UTF-8."""
    lines = sum(len(name.encode()) + len(value.encode()) + _HEADER_BYTES for name, value in headers.items())
    return _HEADER_LINE_BYTES + lines
