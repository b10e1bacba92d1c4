"""A flood of the same warning, thinned out: a broken dependency or a sender's mistake must not fill the disk.

Invariant: of one kind of entry at most a number a window passes; the first that passes afterwards says how many did
not. Entries below a warning all pass: there is one a bulk or less.
"""

import logging
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import structlog

WINDOW_S: Final = 60.0
MAX_KINDS: Final = 1_000
"""Our own kinds are a few dozen; a library may put what varies into its message."""

_LIMITED: Final = frozenset({"warning", "error", "critical"})


@dataclass(slots=True)
class _Kind:
    window_began_s: float
    passed: int = 0
    suppressed: int = 0


class Repeats:
    """Decides which entries pass. A structlog processor, and a filter for the standard library's records."""

    def __init__(self, per_window: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._per_window = per_window
        self._clock = clock
        self._kinds: dict[Hashable, _Kind] = {}

    def __call__(self, _logger: Any, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Pass an entry on, with `suppressed` where some before it were. Raises DropEvent for one too many.

        Answers of different status are different kinds: a sender's bad requests must not hide our own 503.
        """
        if entry["level"] in _LIMITED:
            suppressed = self._suppressed_before((entry["event"], entry.get("status")))
            if suppressed is None:
                raise structlog.DropEvent
            if suppressed:
                entry["suppressed"] = suppressed
        return entry

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a library's record passes; its kind is its message before the arguments."""
        return self._suppressed_before((record.name, record.msg)) is not None

    def _suppressed_before(self, key: Hashable) -> int | None:
        """How many of this kind were suppressed since one passed; None where this one is to be, too."""
        now = self._clock()
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            kind = self._kinds[key] = _Kind(now)
        if now - kind.window_began_s >= WINDOW_S:
            kind.window_began_s, kind.passed = now, 0
        if kind.passed >= self._per_window:
            kind.suppressed += 1
            return None
        kind.passed += 1
        suppressed, kind.suppressed = kind.suppressed, 0
        return suppressed
