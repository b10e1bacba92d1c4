"""What a collector says of itself, read from its metrics and its worker. Changes nothing, waits for nothing."""

from typing import Any

from collectors.worker import Worker
from shared import totals
from shared.metrics import CollectorMetrics
from streams.vitals import Flush, Pool


def read(worker: Worker, metrics: CollectorMetrics, *, pool_most: int, waiting_for: str | None) -> dict[str, Any]:
    """The fields of `Vitals`. `waiting_for`: what the start still waits for."""
    state, reason = ("starting", f"waiting for {waiting_for}") if waiting_for else worker.activity
    flush = worker.last_flush
    has_tried = waiting_for is None and (flush is not None or worker.trouble is not None)
    return {
        "state": state,
        "reason": reason,
        "totals": {
            "settled": totals.by_label(metrics.events, "outcome"),
            "deadLetters": totals.by_label(metrics.dead_letters, "reason"),
            "flushes": totals.by_label(metrics.operations, "result"),
            "redelivered": totals.by_label(metrics.redeliveries, "source"),
        },
        "last_flush": flush and Flush(events=flush.events, ms=flush.seconds * 1_000, ago_s=worker.idle_s),
        "pool": Pool(
            size=int(totals.value(metrics.pool_size)), idle=int(totals.value(metrics.pool_idle)), most=pool_most
        ),
        "postgres": totals.value(metrics.database_connected) == 1 if has_tried else None,
    }
