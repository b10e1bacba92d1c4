"""The safety net under a limit on deliveries: hears of messages that the broker delivers no more.

Our consumers have no such limit (`max_deliver` is -1), and provisioning takes one away that it finds. While
an operator has set one, a message that reaches it is neither acknowledged nor ever delivered again, not
even once the limit is gone; all that is left of it is this advisory.

Invariant: of all collectors of a source one is told of each such message, and it keeps trying until the
message is parked. An advisory is not kept by the broker: one that nobody hears leaves its message in the
stream and its receipt pending, and `python -m streams replay` puts it through.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import msgspec
import nats.errors
from nats.aio.msg import Msg

from shared.errors import Pressure, Retryable
from shared.logs import Logger
from streams.connection import Connection
from streams.delivery import Delivery
from streams.reader import StoredMessage, StreamReader
from streams.subjects import COLLECTOR

_SUBJECT: Final = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}." + COLLECTOR
RETRY_WAIT_S: Final = 1.0


class _Advisory(msgspec.Struct):
    """io.nats.jetstream.advisory.v1.max_deliver, as far as it is needed."""

    stream_seq: int
    deliveries: int


class ExhaustedDeliveries:
    """Listens for one stream."""

    def __init__(self, connection: Connection, stream: str, *, log: Logger, retry_wait_s: float = RETRY_WAIT_S) -> None:
        self._connection = connection
        self._stream = stream
        self._reader = StreamReader(connection, stream)
        self._log = log
        self._retry_wait_s = retry_wait_s
        self._decode = msgspec.json.Decoder(_Advisory).decode
        self.listening = asyncio.Event()

    async def watch(self, park: Callable[[Delivery], Awaitable[None]]) -> NoReturn:
        """Have each such message parked, one after the other, until cancelled.

        `park` gets the delivery that was the last; settling it has no effect. Where it raises Retryable or
        Pressure it is called again. Never raises for a broker that is away.
        """
        subject = _SUBJECT.format(stream=self._stream)
        subscription = await self._connection.client.subscribe(subject, queue=f"{self._stream}.{COLLECTOR}")
        self.listening.set()
        while True:
            try:
                message = await subscription.next_msg(timeout=None)
            except nats.errors.Error as error:  # more than its buffer holds; the connection's end ends us too
                self._log.warning("advisory_lost", error=repr(error))
                await asyncio.sleep(self._retry_wait_s)
                continue
            try:
                advisory = self._decode(message.data)
            except msgspec.MsgspecError as error:
                self._log.warning("advisory_unreadable", error=str(error))
                continue
            self._log.error("max_deliver_reached", stream_seq=advisory.stream_seq, attempts=advisory.deliveries)
            await self._have_parked(advisory, park)

    async def _have_parked(self, advisory: _Advisory, park: Callable[[Delivery], Awaitable[None]]) -> None:
        while True:
            try:
                if (stored := await self._reader.get(advisory.stream_seq)) is not None:
                    await park(_delivery(stored, advisory.deliveries))
            except (Retryable, Pressure) as error:
                self._log.warning("max_deliver_not_parked", stream_seq=advisory.stream_seq, error=str(error))
                await asyncio.sleep(self._retry_wait_s)
            else:
                return


def _delivery(stored: StoredMessage, attempts: int) -> Delivery:
    """The message as it was delivered the last time: a delivery's position is in its reply subject."""
    nanoseconds = int(stored.stored_at.timestamp() * 1e9)
    reply = f"$JS.ACK.{stored.stream}.{COLLECTOR}.{attempts}.{stored.seq}.{stored.seq}.{nanoseconds}.0"
    return Delivery(_message(stored, reply))


def _message(stored: StoredMessage, reply: str) -> Msg:
    # Without a client: nobody can settle this delivery, and the broker has forgotten it anyway.
    return Msg(None, stored.subject, reply, stored.body, dict(stored.headers))  # type: ignore[arg-type]  # see above
