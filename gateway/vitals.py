"""What a gateway says of itself, read from its metrics. Changes nothing, waits for nothing."""

from typing import Any

from gateway.admission import Admission
from gateway.answered import AnsweredRequests
from shared import totals
from shared.metrics import GatewayMetrics


def read(
    metrics: GatewayMetrics, admission: Admission, answered: AnsweredRequests, *, state: str, reason: str | None
) -> dict[str, Any]:
    """The fields of `Vitals`; the requests that were answered since the last call are among them."""
    return {
        "state": state,
        "reason": reason,
        "totals": {
            "accepted": totals.by_label(metrics.events_processed, "source"),
            "rejected": totals.by_label(metrics.events_rejected, "reason"),
            "undurable": totals.by_label(metrics.events_undurable, "reason"),
            "refused": totals.by_label(metrics.requests_refused, "reason"),
        },
        "in_flight": admission.requests,
        "held_bytes": admission.bytes,
        "latency": totals.cumulative(metrics.request_seconds),
        "answered": answered.take(),
    }
