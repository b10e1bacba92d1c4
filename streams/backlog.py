"""How far the collectors are behind, and whether there is room for more.

Invariant: the streams evict their oldest messages at their limits, so an unread message is safe only
while the backlog is smaller than the limits. `share` says how near it is, by count, bytes and age; the
gateway stops accepting well before 1, and also when the backlog can't be seen (`BacklogGuard`).
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Final

import nats.errors
from nats.js.api import ConsumerInfo, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from shared.errors import NotDurable, Retryable
from shared.logs import Logger
from shared.metrics import GatewayMetrics
from shared.outcomes import PublishFailure
from streams.connection import Connection
from streams.partitions import Partition, Partitions
from streams.subjects import COLLECTOR

LARGEST_MESSAGE_BYTES: Final = 1024 * 1024
SAMPLES: Final = 5
"""Unread messages that are looked at for their size, when size can matter."""

MESSAGE_OVERHEAD_BYTES: Final = 512
"""What a stream keeps of a message beside its body: subject, headers, its own record. A group's ids come on top."""

MAX_BLIND_S: Final = 30.0
"""After this long without a reading the guard closes: publishing into the unknown could evict."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """One stream's unread messages: how many, how old the oldest is, and the share of the nearest limit.

    `max_messages`, `max_bytes`: the stream's limits; infinite where it has none.
    """

    messages: int
    oldest_s: float
    share: float
    max_messages: float
    max_bytes: float


async def read_backlog(connection: Connection, stream: str) -> Backlog:
    """Ask the broker. Raises Retryable where it can't be asked, or stream or consumer are missing."""
    connection.require()
    jetstream = connection.jetstream
    try:
        info = await jetstream.stream_info(stream)
        consumer = await jetstream.consumer_info(stream, COLLECTOR)
        oldest_s = await _oldest_unread_s(jetstream, stream, info, consumer)
        span = _span(info, consumer)
        mean_bytes = await _mean_bytes(jetstream, stream, info, span)
    except (TimeoutError, APIError, nats.errors.Error, OSError) as error:
        raise Retryable(f"the backlog of {stream} can't be read: {error!r}") from error
    messages = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
    return Backlog(
        messages,
        oldest_s,
        _share(info, span, mean_bytes, oldest_s),
        _limit(info.config.max_msgs),
        _limit(info.config.max_bytes),
    )


def _limit(value: int | None) -> float:
    return float(value) if value is not None and value > 0 else inf


def _share(info: StreamInfo, span: int, mean_bytes: float, oldest_s: float) -> float:
    """The largest of: unread span by count, by bytes, and age, each over its limit."""
    config = info.config
    max_age_s = config.max_age if config.max_age and config.max_age > 0 else inf
    return max(span / _limit(config.max_msgs), span * mean_bytes / _limit(config.max_bytes), oldest_s / max_age_s)


def _span(info: StreamInfo, consumer: ConsumerInfo) -> int:
    """Messages from the oldest unread one to the newest; those between that are stored already count too, as
    eviction goes by position.
    """
    floor = consumer.ack_floor.stream_seq if consumer.ack_floor else 0
    has_unread = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0) > 0
    return min(info.state.messages, info.state.last_seq - floor) if has_unread else 0


async def _mean_bytes(jetstream: JetStreamContext, stream: str, info: StreamInfo, span: int) -> float:
    """Bytes of an unread message: the stream's mean, or that of a few unread ones where it is larger.

    A stream whose stored messages were small and whose unread ones are large has a mean that says too little.
    """
    state = info.state
    mean = state.bytes / state.messages if state.messages else 0.0
    if span * LARGEST_MESSAGE_BYTES < _limit(info.config.max_bytes) / 2:
        return mean  # whatever they are, there is room
    sizes = []
    for at in range(SAMPLES):
        with suppress(NotFoundError):  # deleted by hand
            message = await jetstream.get_msg(stream, seq=state.last_seq - at * (span - 1) // SAMPLES, direct=True)
            headers = sum(len(name) + len(value) for name, value in (message.headers or {}).items())
            sizes.append(len(message.data or b"") + headers)
    return max([mean, *([sum(sizes) / len(sizes)] if sizes else [])])


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


@dataclass(slots=True)
class _Sum:
    """Of messages to a stream that this process booked."""

    messages: int = 0
    bytes: int = 0

    def add(self, messages: int, more_bytes: int) -> None:
        self.messages += messages
        self.bytes += more_bytes


@dataclass(frozen=True, slots=True)
class SourceBacklog:
    """Of all streams of a source together; the share is that of the fullest."""

    messages: int
    share: float
    oldest_s: float


class BacklogGuard:
    """Watches the backlog of every stream that events go to and says whether more may be published.

    Closes when a stream's share reaches `close_at`, opens again below `open_at` (so it does not flap),
    and closes as well when it has not been able to see for MAX_BLIND_S. What is booked is added to the last
    reading until its publishing has ended, and from then on until one that began after that.
    """

    def __init__(
        self,
        connection: Connection,
        partitions: Partitions,
        *,
        close_at: float,
        open_at: float,
        log: Logger,
        metrics: GatewayMetrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._connection = connection
        self._partitions = tuple(partitions)
        self._close_at = close_at
        self._open_at = open_at
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._seen_at: float | None = None
        self._full: frozenset[str] = frozenset()
        self._stop_at = (close_at + 1) / 2
        self._backlogs: dict[str, Backlog] = {}
        self._unseen = {partition.stream: _Sum() for partition in self._partitions}
        self._ended = {partition.stream: _Sum() for partition in self._partitions}  # of the unseen ones
        metrics.backlog_seen.set_to_current_time()  # not yet, but not for decades either
        self._show()

    @property
    def reason(self) -> str | None:
        """Why nothing may be published now, in words; None where it may."""
        if self._seen_at is None:
            return "the backlog has not been read yet"
        if (blind_s := self._clock() - self._seen_at) > MAX_BLIND_S:
            return f"the backlog could not be read for {blind_s:.0f} s"
        if self._full:
            return f"the collectors are too far behind on {', '.join(self._labels(self._full))}"
        return None

    @property
    def by_source(self) -> Mapping[str, SourceBacklog]:
        """As it was read last; empty before the first reading."""
        if not self._backlogs:
            return {}
        found: dict[str, list[Backlog]] = {}
        for partition in self._partitions:
            found.setdefault(partition.source, []).append(self._backlogs[partition.stream])
        return {
            source: SourceBacklog(
                messages=sum(backlog.messages for backlog in backlogs),
                share=max(backlog.share for backlog in backlogs),
                oldest_s=max(backlog.oldest_s for backlog in backlogs),
            )
            for source, backlogs in found.items()
        }

    @contextmanager
    def booked(self, partition: Partition, body_bytes: int) -> Iterator[None]:
        """Count a message; it is published within the context.

        Raises NotDurable where, with all that no reading of the backlog is sure to hold, it could come near
        to evicting an unread one: a request that was let in before is then stopped in its middle.
        """
        stream, message_bytes = partition.stream, body_bytes + MESSAGE_OVERHEAD_BYTES
        self._unseen[stream].add(1, message_bytes)
        share = self._share(stream)
        if share >= self._close_at:
            self._close_for(self._full | {stream})
        if share >= self._stop_at:
            self._unseen[stream].add(-1, -message_bytes)
            raise NotDurable(PublishFailure.BACKLOG, f"the collectors are too far behind on {partition.label}")
        try:
            yield
        finally:  # also where it was not acknowledged: it may have arrived
            self._ended[stream].add(1, message_bytes)

    def _share(self, stream: str) -> float:
        """The share as it was read, and what it may not hold: an upper bound for this gateway's part."""
        backlog, unseen = self._backlogs.get(stream), self._unseen[stream]
        if backlog is None:
            return 0.0
        return backlog.share + max(unseen.messages / backlog.max_messages, unseen.bytes / backlog.max_bytes)

    async def look(self) -> None:
        """Read all backlogs once, and open or close. Never raises; a failed reading is logged."""
        ended = {stream: (ended.messages, ended.bytes) for stream, ended in self._ended.items()}
        try:
            found = await asyncio.gather(*(read_backlog(self._connection, stream) for stream in self._unseen))
        except Retryable as error:
            self._log.warning("backlog_unreadable", error=str(error))
            self._show()
            return
        self._seen_at = self._clock()
        self._metrics.backlog_seen.set_to_current_time()
        self._backlogs = dict(zip(self._unseen, found, strict=True))
        full = set()
        for stream, (messages, held_bytes) in ended.items():
            for booked in (self._unseen[stream], self._ended[stream]):
                booked.add(-messages, -held_bytes)  # these are in the reading
            if self._share(stream) >= (self._open_at if stream in self._full else self._close_at):
                full.add(stream)
        self._close_for(frozenset(full))
        self._measure()

    def _measure(self) -> None:
        for source, backlog in self.by_source.items():
            self._metrics.backlog_messages.labels(source).set(backlog.messages)
            self._metrics.backlog_share.labels(source).set(backlog.share)
            self._metrics.backlog_oldest_seconds.labels(source).set(backlog.oldest_s)

    def _close_for(self, full: frozenset[str]) -> None:
        if full != self._full:
            self._log.warning("backlog_guard_changed", closed_for=self._labels(full))
        self._full = full
        self._show()

    def _labels(self, streams: frozenset[str]) -> list[str]:
        return [partition.label for partition in self._partitions if partition.stream in streams]

    def _show(self) -> None:
        self._metrics.backlog_guard_closed.set(self.reason is not None)
