"""Deliveries of a durable pull consumer.

Invariant: a delivery is settled (acked, nak'd or terminated) once. That the server got it is not waited
for: where it did not, the message is delivered again, and storing it again changes nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from shared.errors import Retryable
from streams.connection import Connection
from streams.subjects import COLLECTOR

_PENDING_BYTES: Final = 256 * 1024 * 1024


class ConsumerMissing(Retryable):
    """The durable consumer (or its stream) is not on the server; provisioning brings it back."""


class Delivery:
    """One message on its way to be stored."""

    __slots__ = ("_message", "_settled", "stream", "stream_seq")

    def __init__(self, message: Msg) -> None:
        metadata = message.metadata
        self._message = message
        self._settled = False
        self.stream: str = metadata.stream
        self.stream_seq: int = metadata.sequence.stream

    @property
    def body(self) -> bytes:
        """The message's body."""
        return self._message.data

    @property
    def headers(self) -> Mapping[str, str]:
        """The message's headers; {} where it has none."""
        return self._message.headers or {}

    @property
    def attempts(self) -> int:
        """How often the message was delivered, this time included."""
        return self._message.metadata.num_delivered

    @property
    def pending(self) -> int:
        """Messages behind this one that were not delivered yet, when it was delivered."""
        return self._message.metadata.num_pending

    @property
    def published_at(self) -> datetime:
        """When the broker stored it, by the broker's clock."""
        return self._message.metadata.timestamp.astimezone(UTC)

    @property
    def settled(self) -> bool:
        """Whether it was acked, nak'd or terminated."""
        return self._settled

    async def ack(self) -> bool:
        """It is stored; never deliver it again. False where that could not be sent."""
        return await self._settle(self._message.ack)

    async def nak(self, delay_s: float) -> bool:
        """It is not stored; deliver it again, `delay_s` seconds from now at the earliest."""
        return await self._settle(partial(self._message.nak, delay=delay_s))

    async def term(self) -> bool:
        """It can't be stored and is dead-lettered; never deliver it again."""
        return await self._settle(self._message.term)

    async def in_progress(self) -> bool:
        """It is still being worked on: its ack wait starts anew. False where that could not be sent."""
        return await _sent(self._message.in_progress)

    async def _settle(self, send: Callable[[], Awaitable[None]]) -> bool:
        if self._settled:
            raise RuntimeError(f"{self.stream}:{self.stream_seq} was settled before")
        self._settled = True
        return await _sent(send)


async def _sent(send: Callable[[], Awaitable[None]]) -> bool:
    """Send; an error means that the message is delivered again, which is safe."""
    try:
        await send()
    except (nats.errors.Error, OSError):
        return False
    return True


class Puller:
    """Fetches deliveries of one stream's durable consumer. Holds nothing between two fetches."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def fetch(self, max_messages: int, wait_s: float) -> list[Delivery]:
        """Up to about `max_messages` deliveries; waits up to `wait_s` for the first; [] where none came.

        After a reconnection there can be more than asked for. Do not cancel it: deliveries under way
        would wait out their ack wait. Raises Retryable while disconnected, ConsumerMissing where the
        consumer is gone.
        """
        self._connection.require()
        try:
            if self._subscription is None:
                self._subscription = await self._connection.jetstream.pull_subscribe_bind(
                    durable=COLLECTOR, stream=self._stream, pending_bytes_limit=_PENDING_BYTES
                )
            messages = await self._subscription.fetch(max_messages, timeout=wait_s)
        except TimeoutError:
            return []  # nats-py's way to say that nothing came; its TimeoutErrors are asyncio's too
        except (ServiceUnavailableError, NotFoundError) as error:
            self._subscription = None
            raise ConsumerMissing(f"{self._stream}: no consumer {COLLECTOR!r}") from error
        except (APIError, nats.errors.Error, OSError) as error:
            raise Retryable(f"fetch from {self._stream}: {error!r}") from error
        return [Delivery(message) for message in messages]

    async def close(self) -> None:
        """Give the subscription back. Never raises."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and self._connection.is_connected:
            try:
                await subscription.unsubscribe()
            except nats.errors.Error:
                return  # the connection is going, and the subscription goes with it
