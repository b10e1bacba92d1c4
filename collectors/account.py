"""What a flush came to, for the metrics and the log.

Invariant: told once, after the commit. A message that was stored before (its ack was lost) counts no more.
"""

from datetime import UTC, datetime

from collectors.batch import Batch
from collectors.store import Stored
from shared.logs import Logger
from shared.metrics import CollectorMetrics
from shared.outcomes import FlushResult, Outcome


def account(
    batch: Batch, stored: Stored, result: FlushResult, *, source: str, metrics: CollectorMetrics, log: Logger
) -> None:
    """Count a flush that was committed just now, and write its one log line."""
    totals = dict.fromkeys(Outcome, 0)
    for message, inserted, is_new in zip(batch.messages, stored.inserted, stored.is_new, strict=True):
        if not is_new:
            continue
        totals[Outcome.STORED] += inserted
        totals[Outcome.DEAD_LETTERED] += message.dead_events
        totals[Outcome.DUPLICATE] += message.events - inserted - message.dead_events
        for poison in message.dead.values():
            metrics.dead_letters.labels(source, poison.reason).inc(1 if message.rows else message.events)
    for outcome, events in totals.items():
        metrics.events.labels(source, outcome).inc(events)
    committed_at = datetime.now(UTC)
    for delivery in batch.deliveries:
        metrics.freshness_seconds.labels(source).observe(
            max(0.0, (committed_at - delivery.published_at).total_seconds())  # two machines' clocks
        )
    metrics.operations.labels(source, result).inc()
    metrics.flush_events.labels(source).observe(batch.events)
    log.debug(
        "flush_stored",
        messages=len(batch.messages),
        stored=totals[Outcome.STORED],
        duplicates=totals[Outcome.DUPLICATE],
        dead_lettered=totals[Outcome.DEAD_LETTERED],
    )
