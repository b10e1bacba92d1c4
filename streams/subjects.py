"""The only place where a subject or a stream's name is built.

Sources are checked to be plain tokens where they are registered; what a sender chose (a correlation id)
enters a subject only as a hash, so no `.`, `*`, `>` or blank of a sender's can ever steer a message.
"""

from dataclasses import dataclass
from hashlib import blake2b

COLLECTOR = "collector"
"""The durable consumer of each source's stream, shared by all replicas of that source's collector."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of streams and subjects under one prefix (`""` or, for instance, `"STAGING_"`)."""

    prefix: str = ""

    def stream(self, source: str) -> str:
        """The stream of a source's events."""
        return f"{self.prefix}{source.upper()}_EVENTS"

    def events(self, source: str) -> str:
        """The subject of a source's events."""
        return f"{self.prefix.lower()}events.{source}"

    def grouped(self, source: str) -> str:
        """The subject of messages that hold single events of several requests; of the same stream."""
        return f"{self.events(source)}.grouped"

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
