"""The collectors: flushes, what they take, and what becomes of the events."""

from typing import Final

from deploy.dashboards.model import Dashboard, Panel, Query, Row
from deploy.dashboards.promql import INSTANCE, mean, most, quantile, rate

COLLECTORS: Final = Dashboard(
    "collectors",
    "Collectors",
    "Batch performance, and how far they are behind.",
    [
        Row(
            "Flushes",
            [
                Panel(
                    title="Flushes by result",
                    about="isolated: poison was found and dead-lettered. retried: it did not work, and is tried again.",
                    queries=[
                        Query(rate("collector_bulk_operations_total", by="source, result"), "{{source}} {{result}}")
                    ],
                    unit="cps",
                    runbook=["TransactionSlow", "DatabaseFails"],
                ),
                Panel(
                    title="Events in a flush",
                    about="Small under a small load; under a flood near FLUSH_EVENTS.",
                    queries=[
                        Query(mean("collector_flush_events", by="source"), "{{source}} mean"),
                        Query(quantile(0.95, "collector_flush_events", by="source"), "{{source}} 95 %"),
                    ],
                ),
                Panel(
                    title="A flush's transaction",
                    about="Commit included. It grows with the events in it.",
                    queries=[
                        Query(quantile(0.5, "database_bulk_insert_duration_seconds", by="source"), "{{source}} median"),
                        Query(quantile(0.99, "database_bulk_insert_duration_seconds", by="source"), "{{source}} 99 %"),
                    ],
                    unit="s",
                    warn_at=2.5,
                    bad_at=10,
                    runbook=["TransactionSlow"],
                ),
                Panel(
                    title="Events by outcome",
                    about="Every accepted event ends as one of these.",
                    queries=[Query(rate("collector_events_total", by="source, outcome"), "{{source}} {{outcome}}")],
                    unit="cps",
                    stacked=True,
                ),
                Panel(
                    title="Dead letters by reason",
                    about="`python -m streams dead-letters list` shows them.",
                    queries=[
                        Query(rate("collector_dead_letters_total", by="source, reason"), "{{source}}: {{reason}}")
                    ],
                    unit="cps",
                    stacked=True,
                    runbook=["DeadLetters"],
                ),
                Panel(
                    title="Redelivered messages",
                    about="An acknowledgement was lost, or a collector ended with some in hand. Nothing is doubled.",
                    queries=[Query(rate("collector_redeliveries_total", by="source"), "{{source}}")],
                    unit="cps",
                ),
            ],
        ),
        Row(
            "How far behind",
            [
                Panel(
                    title="Messages not stored",
                    about="Waiting, and delivered but unacknowledged.",
                    queries=[Query(most("collector_lag_messages", by="source"), "{{source}}")],
                    runbook=["BacklogGrowing"],
                ),
                Panel(
                    title="Age of the oldest of them",
                    about="As the collectors see it; the gateway's own view is on the overview.",
                    queries=[Query(most("collector_lag_seconds", by="source"), "{{source}}")],
                    unit="s",
                    warn_at=30,
                    bad_at=60,
                    runbook=["NotFresh"],
                ),
                Panel(
                    title="Collectors at work, and restarts in an hour",
                    about="More than a few restarts: look at what they say when they end.",
                    queries=[
                        Query('count(up{job="floodgate-collector"} == 1)', "at work"),
                        Query('sum(changes(process_start_time_seconds{job="floodgate-collector"}[1h]))', "restarts"),
                    ],
                    runbook=["CollectorRestarts", "CollectorDown"],
                ),
            ],
        ),
        Row(
            "What they lean on",
            [
                Panel(
                    title="Pool",
                    about="Connections to PostgreSQL: open, of them idle, and how many there may be.",
                    queries=[
                        Query(f"database_pool_size{{{INSTANCE}}}", "{{instance}} open"),
                        Query(f"database_pool_idle{{{INSTANCE}}}", "{{instance}} idle"),
                        Query(f"database_pool_max_size{{{INSTANCE}}}", "{{instance}} at most"),
                    ],
                    runbook=["PoolExhausted"],
                ),
                Panel(
                    title="The transaction that runs",
                    about="How long it has been running, its wait for a connection included.",
                    queries=[Query(f"database_transaction_running_seconds{{{INSTANCE}}}", "{{instance}}")],
                    unit="s",
                    warn_at=5,
                    bad_at=15,
                    runbook=["TransactionSlow"],
                ),
                Panel(
                    title="PostgreSQL, NATS, consumer",
                    about="1 while the last transaction worked, NATS is connected, the durable consumer is there.",
                    queries=[
                        Query(f"database_connected{{{INSTANCE}}}", "PostgreSQL {{instance}}"),
                        Query(f'nats_connected{{job="floodgate-collector", {INSTANCE}}}', "NATS {{instance}}"),
                        Query(f"collector_consumer_present{{{INSTANCE}}}", "consumer {{source}} {{instance}}"),
                    ],
                    runbook=["DatabaseFails", "NatsAway", "ConsumerMissing"],
                ),
            ],
        ),
    ],
)
