"""Valid events in, full messages out: by source and partition, up to a number of events and of bytes each.

Invariant: the order of a partition's events is kept, and the same events in the same order make the same
messages. Pure: it neither waits nor sends.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.wire import BRACKETS_BYTES, SEPARATOR_BYTES, encode_body
from streams.partitions import Partition


@dataclass(slots=True)
class Batch:
    """Events of one partition on their way into one message; `indexes` are their places in the request."""

    partition: Partition
    events: list[bytes] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    body_bytes: int = BRACKETS_BYTES

    @property
    def source(self) -> str:
        """Where its events come from."""
        return self.partition.source

    def has_room(self, event: bytes, max_body_bytes: int) -> bool:
        """Whether the event fits; into an empty batch it always does."""
        return not self.events or self.body_bytes + SEPARATOR_BYTES + len(event) <= max_body_bytes

    def add(self, index: int, event: bytes) -> None:
        """Take an event."""
        self.body_bytes += len(event) + (SEPARATOR_BYTES if self.events else 0)
        self.events.append(event)
        self.indexes.append(index)

    def body(self) -> bytes:
        """The message's body."""
        return encode_body(self.events)


class Batcher:
    """Collects events into batches, one open batch a partition."""

    def __init__(self, *, max_events: int, max_body_bytes: int) -> None:
        self._max_events = max_events
        self._max_body_bytes = max_body_bytes
        self._open: dict[str, Batch] = {}

    def add(self, partition: Partition, index: int, event: bytes) -> Batch | None:
        """Take an event; the batch that is full by it, or had no room for it, or None."""
        stream = partition.stream
        batch = self._open.get(stream)
        if batch is None:
            batch = self._open[stream] = Batch(partition)
        full = None
        if not batch.has_room(event, self._max_body_bytes):
            full, batch = batch, Batch(partition)
            self._open[stream] = batch
        batch.add(index, event)
        if full is None and len(batch.events) >= self._max_events:
            full = self._open.pop(stream)
        return full

    def rest(self) -> Iterator[Batch]:
        """The batches that are not full, when no more events come."""
        while self._open:
            _, batch = self._open.popitem()
            yield batch
