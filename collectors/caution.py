"""Whether the store asks which keys are known before it copies. Pure.

Keys of the last flushes don't count here: the store knows those (`collectors.recent`).
"""

from typing import Final

CALM_FLUSHES: Final = 8
"""So many flushes without a known key, and the next ones are not expected to have one."""


class Caution:
    """Whether to ask which keys are known before copying, a table at a time.

    It starts careful, asks again after every surprise, and stops asking once CALM_FLUSHES in a row had no
    known key that was not remembered: asking costs PostgreSQL about as much as writing the index entry.
    """

    def __init__(self) -> None:
        self._calm = {"events": 0, "demographics": 0}
        self._seen: dict[str, int] = {}

    def asks(self, table: str) -> bool:
        """Whether to ask."""
        return self._calm[table] < CALM_FLUSHES

    def saw(self, table: str, known: int) -> None:
        """How many keys were known, of a flush that is not committed yet."""
        self._seen[table] = known

    def relax(self) -> None:
        """That flush was committed."""
        for table, known in self._seen.items():
            self._calm[table] = 0 if known else self._calm[table] + 1
        self._seen.clear()

    def raise_for(self, table: str) -> None:
        """A key of this table (or of its partition) was there after all; where it is not clear whose, ask both."""
        self._seen.clear()
        own = [name for name in self._calm if table.startswith(name)]
        for name in own or self._calm:
            self._calm[name] = 0
