"""What becomes of a message that reached a limit on its deliveries: dead letters, and a line in the ledger.

Invariant: its dead letters are durable before the ledger says so, as with every other dead letter; with the
ledger's line each receipt adds up, and is complete. Where a message was stored meanwhile after all, the
ledger keeps the line that came first, and putting the dead letter through again finds duplicates.
"""

import asyncio
from time import monotonic
from typing import Final

from collectors.batch import Batch, messages
from collectors.rows import RowBuilder
from collectors.store import Store
from shared.errors import Poison
from shared.metrics import CollectorMetrics
from shared.outcomes import DeadLetterReason, Outcome
from streams.dead_letter import DeadLetters
from streams.delivery import Delivery

REASON: Final = DeadLetterReason.MAX_DELIVER


class Exhausted:
    """Parks such messages of one source."""

    def __init__(
        self, source: str, *, builder: RowBuilder, dead_letters: DeadLetters, store: Store, metrics: CollectorMetrics
    ) -> None:
        self._source = source
        self._builder = builder
        self._dead_letters = dead_letters
        self._store = store
        self._metrics = metrics

    async def park(self, delivery: Delivery) -> None:
        """Dead-letter it whole: nobody knows which of its events is in the way. Raises Retryable, Pressure."""
        poison = Poison(REASON, f"delivered {delivery.attempts} times, and never stored nor refused")
        batch = Batch(max_events=1, max_bytes=1, max_age_s=0, clock=monotonic)
        for message in messages(delivery, self._builder):
            message.rows, message.dead = [], {0: poison}
            batch.add(message)
        await asyncio.gather(*map(self._dead_letters.park, batch.dead_letters(self._source)))
        stored = await self._store.write(batch)
        events = sum(message.events for message, new in zip(batch.messages, stored.is_new, strict=True) if new)
        self._metrics.dead_letters.labels(self._source, REASON).inc(events)
        self._metrics.events.labels(self._source, Outcome.DEAD_LETTERED).inc(events)
