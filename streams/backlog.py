"""How far the collectors are behind, and whether there is room for more.

Invariant: the streams evict their oldest messages at their limits, so an unread message is safe only
while the backlog is smaller than the limits. `share` says how near it is, by count, bytes and age; the
gateway stops accepting well before 1, and also when the backlog can't be seen (`BacklogGuard`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import nats.errors
from nats.js.api import ConsumerInfo, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from shared.errors import Retryable
from shared.logs import Logger
from shared.metrics import GatewayMetrics
from streams.connection import Connection
from streams.subjects import COLLECTOR, Names

MAX_BLIND_S: Final = 30.0
"""After this long without a reading the guard closes: publishing into the unknown could evict."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """One stream's unread messages: how many, how old the oldest is, and the share of the nearest limit."""

    messages: int
    oldest_s: float
    share: float


async def read_backlog(connection: Connection, stream: str) -> Backlog:
    """Ask the broker. Raises Retryable where it can't be asked, or stream or consumer are missing."""
    connection.require()
    jetstream = connection.jetstream
    try:
        info = await jetstream.stream_info(stream)
        consumer = await jetstream.consumer_info(stream, COLLECTOR)
        oldest_s = await _oldest_unread_s(jetstream, stream, info, consumer)
    except (TimeoutError, APIError, nats.errors.Error, OSError) as error:
        raise Retryable(f"the backlog of {stream} can't be read: {error!r}") from error
    messages = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
    return Backlog(messages, oldest_s, _share(info, consumer, oldest_s))


def _share(info: StreamInfo, consumer: ConsumerInfo, oldest_s: float) -> float:
    """The largest of: unread span by count, unread bytes, and age, each over its limit.

    The span from the oldest unread message to the newest counts whole, messages in it that are stored
    already too: eviction goes by position. Bytes are taken at the stream's mean.
    """
    state, config = info.state, info.config
    floor = consumer.ack_floor.stream_seq if consumer.ack_floor else 0
    has_unread = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0) > 0
    span = min(state.messages, state.last_seq - floor) if has_unread else 0
    mean_bytes = state.bytes / state.messages if state.messages else 0.0
    shares = [0.0]
    if config.max_msgs and config.max_msgs > 0:
        shares.append(span / config.max_msgs)
    if config.max_bytes and config.max_bytes > 0:
        shares.append(span * mean_bytes / config.max_bytes)
    if config.max_age and config.max_age > 0:
        shares.append(oldest_s / config.max_age)
    return max(shares)


async def _oldest_unread_s(jetstream: JetStreamContext, stream: str, info: StreamInfo, consumer: ConsumerInfo) -> float:
    """Age in seconds of the oldest unread message, by the broker's clock at storing; 0 where none is unread."""
    if not (consumer.num_pending or 0) + (consumer.num_ack_pending or 0):
        return 0.0
    sequence = max(info.state.first_seq, (consumer.ack_floor.stream_seq if consumer.ack_floor else 0) + 1)
    try:
        message = await jetstream.get_msg(stream, seq=sequence, direct=True)
    except NotFoundError:
        return 0.0  # it was just acknowledged and evicted
    return max(0.0, (datetime.now(UTC) - message.time).total_seconds()) if message.time else 0.0


class BacklogGuard:
    """Watches the backlog of every source's stream and says whether more may be published.

    Closes when a stream's share reaches `close_at`, opens again below `open_at` (so it does not flap),
    and closes as well when it has not been able to see for MAX_BLIND_S.
    """

    def __init__(
        self,
        connection: Connection,
        sources: Iterable[str],
        names: Names,
        *,
        close_at: float,
        open_at: float,
        log: Logger,
        metrics: GatewayMetrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._connection = connection
        self._sources = tuple(sources)
        self._names = names
        self._close_at = close_at
        self._open_at = open_at
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._seen_at: float | None = None
        self._full: frozenset[str] = frozenset()

    @property
    def reason(self) -> str | None:
        """Why nothing may be published now, in words; None where it may."""
        if self._seen_at is None:
            return "the backlog has not been read yet"
        if (blind_s := self._clock() - self._seen_at) > MAX_BLIND_S:
            return f"the backlog could not be read for {blind_s:.0f} s"
        if self._full:
            return f"the collectors are too far behind on {', '.join(sorted(self._full))}"
        return None

    async def look(self) -> None:
        """Read all backlogs once, and open or close. Never raises; a failed reading is logged."""
        try:
            backlogs = {
                source: await read_backlog(self._connection, self._names.stream(source)) for source in self._sources
            }
        except Retryable as error:
            self._log.warning("backlog_unreadable", error=str(error))
            return
        self._seen_at = self._clock()
        full = set()
        for source, backlog in backlogs.items():
            self._metrics.backlog_messages.labels(source).set(backlog.messages)
            self._metrics.backlog_share.labels(source).set(backlog.share)
            if backlog.share >= (self._open_at if source in self._full else self._close_at):
                full.add(source)
        if full != self._full:
            self._log.warning("backlog_guard_changed", closed_for=sorted(full))
        self._full = frozenset(full)
