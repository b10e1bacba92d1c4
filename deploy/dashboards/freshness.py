"""How soon an event that was accepted can be asked for in PostgreSQL."""

from typing import Final

from deploy.dashboards.model import Dashboard, Panel, Query, Row
from deploy.dashboards.promql import SOURCE, most, quantile, rate


def _within(seconds: float) -> str:
    stored = rate("collector_freshness_seconds_bucket", by="source", where=f'{SOURCE}, le="{seconds}"')
    return f"{stored} / {rate('collector_freshness_seconds_count', by='source')}"


FRESHNESS: Final = Dashboard(
    "freshness",
    "Freshness",
    "How soon an event that was accepted can be asked for in PostgreSQL.",
    [
        Row(
            "From the disk of JetStream to the commit",
            [
                Panel(
                    title="How long it takes",
                    about="By message, of those that were stored of late. What is not stored yet is below.",
                    queries=[
                        Query(quantile(0.5, "collector_freshness_seconds", by="source"), "{{source}} median"),
                        Query(quantile(0.95, "collector_freshness_seconds", by="source"), "{{source}} 95 %"),
                        Query(quantile(0.99, "collector_freshness_seconds", by="source"), "{{source}} 99 %"),
                    ],
                    unit="s",
                    warn_at=10,
                    bad_at=60,
                    width=12,
                    runbook=["NotFresh"],
                ),
                Panel(
                    title="Stored within a second, and within 10",
                    about="The share of messages.",
                    queries=[Query(_within(1.0), "{{source}} 1 s"), Query(_within(10.0), "{{source}} 10 s")],
                    unit="percentunit",
                    width=12,
                    runbook=["NotFresh"],
                ),
            ],
        ),
        Row(
            "What is not there yet",
            [
                Panel(
                    title="Age of the oldest message not stored",
                    about="As the gateway sees it, whether collectors run or not.",
                    queries=[Query(most("gateway_backlog_oldest_seconds", by="source"), "{{source}}")],
                    unit="s",
                    warn_at=30,
                    bad_at=60,
                    runbook=["NotFresh", "BacklogGrowing"],
                ),
                Panel(
                    title="The same, as the collectors see it",
                    about="Nothing here and something on the left: no collector of that source runs.",
                    queries=[Query(most("collector_lag_seconds", by="source"), "{{source}}")],
                    unit="s",
                    warn_at=30,
                    bad_at=60,
                    runbook=["NoCollector"],
                ),
                Panel(
                    title="Since the last event came",
                    about="Old data can also be a platform that sends nothing.",
                    queries=[
                        Query(f"time() - {most('gateway_last_event_timestamp_seconds', by='source')}", "{{source}}")
                    ],
                    unit="s",
                    runbook=["NoEvents"],
                ),
            ],
        ),
    ],
)
