"""The streams of a source, and which of them an event goes to.

Invariant: with the same number of partitions an event id always goes to the same stream, whichever gateway
takes it, whatever its version of Python: the CRC-32 (of zlib, PNG, Ethernet) of the id's UTF-8, modulo the
number. So all copies of an event meet in one stream, and a collector of that partition sees them all.

The hash spreads load, no more: who picks ids so that all fall into one partition slows down his own source.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from zlib import crc32

from shared.events import Valid


@dataclass(frozen=True, slots=True)
class Partition:
    """One stream of a source: its name, and the subjects of batches (`events`) and of grouped single events.

    `number` counts from 0; the one stream of a source without partitions has 0, too. `token` stands for it in
    message ids, `label` names it to people.
    """

    source: str
    number: int
    stream: str
    events: str
    grouped: str
    token: str
    label: str


def partition_of(event_id: str, partitions: int) -> int:
    """The number, from 0, of the partition of an event id. Part of the wire format: it must never change."""
    return crc32(event_id.encode()) % partitions


class Partitions:
    """All partitions of some sources. Pure; safe to share."""

    def __init__(self, by_source: Iterable[tuple[Partition, ...]]) -> None:
        self._by_source = {partitions[0].source: partitions for partitions in by_source}
        one_each = all(len(partitions) == 1 for partitions in self._by_source.values())
        self._only = {source: partitions[0] for source, partitions in self._by_source.items()} if one_each else {}

    def __iter__(self) -> Iterator[Partition]:
        for partitions in self._by_source.values():
            yield from partitions

    def of(self, event: Valid) -> Partition:
        """Where an event goes. Called once an event: without partitions it costs one look into a dict."""
        if self._only:
            return self._only[event.source]
        partitions = self._by_source[event.source]
        return partitions[partition_of(event.event_id, len(partitions))]
