"""The keys of the last flushes: where duplicates are looked for first. Pure.

Invariant: a hint and no more. A key that is here was committed, by this process and not long ago; whether its row is
still there, the database is asked.
"""

from collections.abc import Iterable
from typing import Final

REMEMBERED_KEYS: Final = 20_000
"""At least; at most twice as many and two flushes, some 10 MB. A sender that tries again does it soon."""


class Recent:
    """Two generations of keys: the older one is forgotten when the younger one is full."""

    def __init__(self) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()

    def among(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that it remembers, in their order."""
        young, old = self._young, self._old
        return [key for key in keys if key in young or key in old]

    def add(self, keys: Iterable[str]) -> None:
        """These are committed."""
        if len(self._young) >= REMEMBERED_KEYS:
            self._young, self._old = set(), self._young
        self._young.update(keys)
