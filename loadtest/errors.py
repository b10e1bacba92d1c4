"""What went wrong in a run, grouped.

Invariant: memory is bounded however many errors there are: a count and one example for each kind, at most
`_MAX_KINDS` kinds, the rest counted under one name.

CannotRun is the only exception raised for a person: nothing was measured, and its text says what to do.
"""

from dataclasses import dataclass
from typing import Final

_MAX_KINDS: Final = 50
_REST: Final = "other"
_EXAMPLE_CHARS: Final = 200


class CannotRun(Exception):
    """The run could not start or go on; the text is for the person who started it."""


@dataclass(slots=True)
class ErrorKind:
    """How often one kind of error was seen, and the first example of it."""

    kind: str
    count: int
    example: str


class ErrorGroups:
    """Counts errors by kind, most frequent first when read."""

    def __init__(self) -> None:
        self._kinds: dict[str, ErrorKind] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """`count` more errors of this kind; the first example stays."""
        if kind not in self._kinds and len(self._kinds) >= _MAX_KINDS:
            kind = _REST
        group = self._kinds.setdefault(kind, ErrorKind(kind, 0, example[:_EXAMPLE_CHARS]))
        group.count += count

    def sorted(self) -> list[ErrorKind]:
        """All kinds, the most frequent first."""
        return sorted(self._kinds.values(), key=lambda group: (-group.count, group.kind))
