"""Find the events that can't be stored: halve, and halve again, until each stands alone.

Invariant: an event is called poison only after it was tried alone, and everything else is stored.
"""

from collections.abc import Awaitable, Callable, Sequence

from collectors.batch import Batch, Message
from collectors.rows import EventRows
from shared.errors import Poison

Probe = Callable[[Sequence[EventRows]], Awaitable[Poison | None]]
"""Tries events and keeps nothing; the poison where they can't be stored."""

_Tried = Sequence[tuple[Message, int, EventRows]]


async def isolate(batch: Batch, probe: Probe) -> int:
    """Bury the poison of a batch that can't be stored as it is; how many events that were.

    k poisons among n events take about k * log2(n) probes. Raises what `probe` raises.
    """
    return await _bury(batch, list(batch.rows()), probe, known_bad=False)


async def _bury(batch: Batch, tried: _Tried, probe: Probe, *, known_bad: bool) -> int:
    """`known_bad`: that there is poison among these follows from what was tried before."""
    if len(tried) == 1 or not known_bad:
        poison = await probe([row for _, _, row in tried]) if tried else None
        if poison is None:
            return 0
        if len(tried) == 1:
            message, index, _ = tried[0]
            batch.bury(message, index, poison)
            return 1
    middle = len(tried) // 2
    buried = await _bury(batch, tried[:middle], probe, known_bad=False)
    # Where the first half is sound, the poison is in the second, and only its halves need trying.
    return buried + await _bury(batch, tried[middle:], probe, known_bad=buried == 0)
