"""One look at the whole system, as JSON for the page: made once a second from what was heard.

Invariant: nothing of an event is in it. It is small, and of bounded size whatever happens.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from gateway.console.checks import Finding
from gateway.console.rates import latencies_ms, per_second
from streams.backlog import SourceBacklog
from streams.vitals import GATEWAY, SILENT_AFTER_S, Heard

ERROR_TOTALS: Final = ("rejected", "undurable", "refused", "deadLetters")
"""Events that are invalid, could not be made durable, requests refused whole, events dead-lettered."""

Replicas: TypeAlias = Sequence[tuple[Heard, float]]
"""Who was heard, and how many seconds ago."""


def point(replicas: Replicas, backlogs: Mapping[str, SourceBacklog]) -> dict[str, Any]:
    """What the charts show of a second; `t` in seconds since 1970."""
    alive = [heard for heard, ago_s in replicas if ago_s < SILENT_AFTER_S]
    gateways = [heard for heard in alive if heard.now.role == GATEWAY]
    collectors = [heard for heard in alive if heard.now.role != GATEWAY]
    p50, p99 = latencies_ms(gateways, (0.5, 0.99))
    stored: dict[str, float] = {}
    for heard in collectors:
        source = heard.now.source or ""
        stored[source] = stored.get(source, 0.0) + per_second([heard], "settled").get("stored", 0.0)
    errors = {
        f"{total}.{reason}": rate for total in ERROR_TOTALS for reason, rate in per_second(alive, total).items() if rate
    }
    return {
        "t": round(time.time(), 1),
        "accepted": per_second(gateways, "accepted"),
        "stored": stored,
        "backlog": {
            source: {"messages": backlog.messages, "seconds": round(backlog.oldest_s, 1), "share": backlog.share}
            for source, backlog in backlogs.items()
        },
        "p50": p50,
        "p99": p99,
        "errors": errors,
        "inFlight": sum(heard.now.in_flight for heard in gateways),
    }


def replica(heard: Heard, ago_s: float) -> dict[str, Any]:
    """One process, for the table."""
    vitals = heard.now
    is_silent = ago_s >= SILENT_AFTER_S
    rate = per_second([heard], "accepted" if vitals.role == GATEWAY else "settled")
    return {
        "id": vitals.id,
        "role": vitals.role,
        "source": vitals.source,
        "pid": vitals.pid,
        "host": vitals.host,
        "version": vitals.version,
        "startedAt": round(vitals.started_at),
        "state": "silent" if is_silent else vitals.state,
        "reason": f"not heard from for {ago_s:.0f} s" if is_silent else vitals.reason,
        "perSecond": 0.0 if is_silent else round(sum(rate.values()), 1),
        "totals": vitals.totals,
        "inFlight": vitals.in_flight,
        "heldBytes": vitals.held_bytes,
        "lastFlush": vitals.last_flush,
        "pool": vitals.pool,
        "postgres": vitals.postgres,
    }


def encode(
    this_second: Mapping[str, Any],
    findings: Iterable[Finding],
    replicas: Replicas,
    requests: Sequence[Any],
    dead_letters: int | None,
) -> bytes:
    """The snapshot's JSON text."""
    return msgspec.json.encode(
        {
            "point": this_second,
            "checks": list(findings),
            "replicas": [replica(heard, ago_s) for heard, ago_s in replicas],
            "requests": requests,
            "deadLetters": dead_letters,
        }
    )
