"""The only place where a subject or a stream's name is built.

Sources are checked to be plain tokens where they are registered; what a sender chose (a correlation id)
enters a subject only as a hash, so no `.`, `*`, `>` or blank of a sender's can ever steer a message.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from streams.partitions import Partition, Partitions

COLLECTOR = "collector"
"""The durable consumer of each stream of a source, shared by all replicas of that source's collector."""

MAX_PARTITIONS: Final = 256


@dataclass(frozen=True, slots=True)
class Names:
    """Names of streams and subjects under one prefix (`""` or, for instance, `"STAGING_"`).

    `stream`, `events` and `grouped` name those of a source without partitions, or of the one that is given;
    which of them a source has is what `partitions` says, and `of` lists.
    """

    prefix: str = ""
    partitions: int = 1

    def stream(self, source: str, partition: int | None = None) -> str:
        """The stream of a source's events."""
        name = f"{self.prefix}{source.upper()}_EVENTS"
        return name if partition is None else f"{name}_{partition}"

    def events(self, source: str, partition: int | None = None) -> str:
        """The subject of a source's events."""
        name = f"{self.prefix.lower()}events.{source}"
        return name if partition is None else f"{name}.{partition}"

    def grouped(self, source: str, partition: int | None = None) -> str:
        """The subject of messages that hold single events of several requests; of the same stream."""
        return f"{self.events(source, partition)}.grouped"

    def of(self, source: str) -> tuple[Partition, ...]:
        """The streams that a source's events go to, in the order of their numbers."""
        if self.partitions == 1:
            return (self._partition(source, None),)
        return tuple(self._partition(source, number) for number in range(self.partitions))

    def all(self, sources: Iterable[str]) -> Partitions:
        """The streams that the events of these sources go to."""
        return Partitions(self.of(source) for source in sources)

    def parse(self, source: str, stream: str) -> Partition | None:
        """The partition of this name, whatever their number is now; None where it is no stream of the source."""
        name = self.stream(source)
        if stream == name:
            return self._partition(source, None)
        before, _, number = stream.rpartition("_")
        is_number = number.isascii() and number.isdigit() and number == str(int(number))
        if before != name or not is_number or int(number) >= MAX_PARTITIONS:
            return None
        return self._partition(source, int(number))

    def _partition(self, source: str, number: int | None) -> Partition:
        return Partition(
            source,
            number or 0,
            self.stream(source, number),
            self.events(source, number),
            self.grouped(source, number),
            source if number is None else f"{source}-{number}",
            source if number is None else f"{source} (partition {number})",
        )

    @property
    def dead_letters_stream(self) -> str:
        """The stream of what could not be stored."""
        return f"{self.prefix}DEAD_LETTERS"

    def dead_letters(self, source: str = "*") -> str:
        """The subject of a source's dead letters; of all sources' by default."""
        return f"{self.prefix.lower()}dead_letters.{source}"

    @property
    def receipts_stream(self) -> str:
        """The stream of what was accepted, by request."""
        return f"{self.prefix}RECEIPTS"

    def receipts(self, correlation_id: str | None = None) -> str:
        """The subject of a correlation id's requests; of all by default."""
        token = "*" if correlation_id is None else blake2b(correlation_id.encode(), digest_size=16).hexdigest()
        return f"{self.prefix.lower()}receipts.{token}"

    def vitals(self, whose: str, replica: str) -> str:
        """The subject on which a process tells of itself; `*` twice for those of all."""
        return f"{self.prefix.lower()}vitals.{whose}.{replica}"
