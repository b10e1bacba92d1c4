"""PostgreSQL: as our processes see it, and as it sees itself."""

from typing import Final

from deploy.dashboards.model import Dashboard, Panel, Query, Row
from deploy.dashboards.promql import INSTANCE, quantile, rate

_EXPORTER: Final = "postgres_exporter"
_OURS: Final = 'datname!~"template.*|postgres"'


def _growth(metric: str) -> str:
    return f"sum by (datname) (rate({metric}{{{_OURS}}}[$__rate_interval]))"


POSTGRES: Final = Dashboard(
    "postgresql",
    "PostgreSQL",
    "What the collectors make of it, and what it says of itself.",
    [
        Row(
            "As our processes see it",
            [
                Panel(
                    title="Answers",
                    about="1 while the last transaction worked.",
                    queries=[Query(f"database_connected{{{INSTANCE}}}", "{{instance}}")],
                    width=6,
                    runbook=["DatabaseFails"],
                ),
                Panel(
                    title="A flush's transaction",
                    about="Commit included.",
                    queries=[
                        Query(quantile(0.99, "database_bulk_insert_duration_seconds", by="source"), "{{source}} 99 %")
                    ],
                    unit="s",
                    width=6,
                    runbook=["TransactionSlow"],
                ),
                Panel(
                    title="The transaction that runs",
                    about="How long it has been running.",
                    queries=[Query(f"database_transaction_running_seconds{{{INSTANCE}}}", "{{instance}}")],
                    unit="s",
                    warn_at=5,
                    bad_at=15,
                    width=6,
                    runbook=["TransactionSlow"],
                ),
                Panel(
                    title="Events stored",
                    about="Rows of the table `events`.",
                    queries=[
                        Query(
                            rate("collector_events_total", by="source", where='source=~"$source", outcome="stored"'),
                            "{{source}}",
                        )
                    ],
                    unit="cps",
                    width=6,
                ),
            ],
        ),
        Row(
            "As the server sees itself",
            [
                Panel(
                    title="Up",
                    about="1 while the exporter reaches it.",
                    queries=[Query("pg_up", "{{instance}}")],
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Connections by state",
                    about="Many idle in transaction: somebody holds locks and does nothing.",
                    queries=[Query(f"sum by (state) (pg_stat_activity_count{{{_OURS}}})", "{{state}}")],
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Longest transaction",
                    about="One of minutes holds locks, and keeps dead rows from being removed.",
                    queries=[Query(f"max by (state) (pg_stat_activity_max_tx_duration{{{_OURS}}})", "{{state}}")],
                    unit="s",
                    exporter=_EXPORTER,
                    runbook=["TransactionSlow"],
                ),
                Panel(
                    title="Locks by mode",
                    about="accessexclusivelock: a table is shut while it is altered, truncated or locked by hand.",
                    queries=[Query(f"sum by (mode) (pg_locks_count{{{_OURS}}}) > 0", "{{mode}}")],
                    exporter=_EXPORTER,
                    runbook=["TransactionSlow"],
                ),
                Panel(
                    title="Commits and rollbacks",
                    about="A rollback now and then is a flush that met a known key and was written the careful way.",
                    queries=[
                        Query(_growth("pg_stat_database_xact_commit"), "commits {{datname}}"),
                        Query(_growth("pg_stat_database_xact_rollback"), "rollbacks {{datname}}"),
                    ],
                    unit="cps",
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Rows inserted",
                    about="Of all tables.",
                    queries=[Query(_growth("pg_stat_database_tup_inserted"), "{{datname}}")],
                    unit="cps",
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Read from memory",
                    about="The share of pages found in shared buffers. It falls when the unique indexes outgrow them.",
                    queries=[
                        Query(
                            f"{_growth('pg_stat_database_blks_hit')} / "
                            f"({_growth('pg_stat_database_blks_hit')} + {_growth('pg_stat_database_blks_read')})",
                            "{{datname}}",
                        )
                    ],
                    unit="percentunit",
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Size",
                    about="Of each database, indexes included.",
                    queries=[Query(f"max by (datname) (pg_database_size_bytes{{{_OURS}}})", "{{datname}}")],
                    unit="bytes",
                    exporter=_EXPORTER,
                ),
                Panel(
                    title="Deadlocks and conflicts",
                    about="Our writers take keys in one order, so they bring none about among themselves.",
                    queries=[
                        Query(_growth("pg_stat_database_deadlocks"), "deadlocks {{datname}}"),
                        Query(_growth("pg_stat_database_conflicts"), "conflicts {{datname}}"),
                    ],
                    unit="cps",
                    exporter=_EXPORTER,
                ),
            ],
        ),
    ],
)
