"""The page to look at first: do events flow, where do they wait, what fails and why."""

from functools import partial
from typing import Final

from deploy.dashboards.model import Dashboard, Panel, Query, Row
from deploy.dashboards.promql import INSTANCE, most, quantile, rate

_ALL: Final = 'source=~"$source|unknown"'
_NUMBER: Final = partial(Panel, kind="stat", width=4, height=4)

OVERVIEW: Final = Dashboard(
    "overview",
    "Overview",
    "Do events flow, where do they wait, what fails and why. From left to right along the way of an event.",
    [
        Row(
            "Do events flow?",
            [
                _NUMBER(
                    title="Accepted",
                    about="Valid events a second that senders hand over.",
                    queries=[Query(rate("gateway_events_accepted_total"), "accepted")],
                    unit="cps",
                    runbook=["NoEvents"],
                ),
                _NUMBER(
                    title="Stored",
                    about="Events a second that are in PostgreSQL now, duplicates and dead letters not counted.",
                    queries=[
                        Query(rate("collector_events_total", where='source=~"$source", outcome="stored"'), "stored")
                    ],
                    unit="cps",
                    runbook=["CollectorDown", "TransactionSlow"],
                ),
                _NUMBER(
                    title="Oldest event not stored",
                    about="Its age. What is in the tables is complete but for so many seconds.",
                    queries=[Query(most("gateway_backlog_oldest_seconds"), "age")],
                    unit="s",
                    warn_at=30,
                    bad_at=60,
                    runbook=["NotFresh", "BacklogGrowing"],
                ),
                _NUMBER(
                    title="Failed",
                    about="The share of events that were refused or could not be made durable, over 5 minutes. Of each "
                    "source alone: *Failed, of all* on the dashboard Gateway.",
                    queries=[
                        Query(
                            f"sum(floodgate:events_failed:rate5m{{{_ALL}}}) / (sum(rate(gateway_events_rejected_total"
                            f"{{{_ALL}}}[5m])) + sum(rate(gateway_events_accepted_total{{{_ALL}}}[5m])) > 0) "
                            "or vector(0)",
                            "failed",
                        )
                    ],
                    unit="percentunit",
                    warn_at=0.01,
                    bad_at=0.05,
                    runbook=["ErrorRate"],
                ),
                _NUMBER(
                    title="Dead letters kept",
                    about="Messages in the stream of dead letters: accepted, and to be looked at by a person.",
                    queries=[Query('max(nats_stream_messages{stream=~".*DEAD_LETTERS"})', "dead letters")],
                    warn_at=1,
                    bad_at=10_000,
                    runbook=["DeadLetters"],
                ),
                _NUMBER(
                    title="Gateways that take nothing",
                    about="Gateways whose backlog guard is closed: they answer 503 so that nothing unread is evicted.",
                    queries=[Query("sum(gateway_backlog_guard_closed)", "closed")],
                    bad_at=1,
                    runbook=["BacklogGuardClosed"],
                ),
                Panel(
                    title="In and out",
                    about="Where the two lines part, a backlog grows between them.",
                    queries=[
                        Query(rate("gateway_bulk_events_processed_total", by="source"), "{{source}} in"),
                        Query(rate("collector_events_total", by="source"), "{{source}} out"),
                    ],
                    unit="cps",
                    width=12,
                ),
                Panel(
                    title="How long a request takes",
                    about="From its headers to its answer, which comes after the disk of JetStream.",
                    queries=[
                        Query(quantile(0.5, "gateway_bulk_processing_duration_seconds", where=INSTANCE), "median"),
                        Query(quantile(0.99, "gateway_bulk_processing_duration_seconds", where=INSTANCE), "99 %"),
                    ],
                    unit="s",
                    width=12,
                    runbook=["RequestsSlow"],
                ),
            ],
        ),
        Row(
            "Where do they wait?",
            [
                Panel(
                    title="In the gateway: requests",
                    about="Requests being worked on. Many of them with few events stored: the disk of NATS is slow.",
                    queries=[Query(f"sum by (instance) (gateway_requests_in_flight{{{INSTANCE}}})", "{{instance}}")],
                    runbook=["RequestsRefused"],
                ),
                Panel(
                    title="In JetStream: messages not stored",
                    about="Up to 100 events each.",
                    queries=[Query(most("gateway_backlog_messages", by="source"), "{{source}}")],
                    runbook=["BacklogGrowing", "NoCollector"],
                ),
                Panel(
                    title="In PostgreSQL: the transaction that runs",
                    about="How long it has been running. A line that climbs: PostgreSQL hangs, or is locked.",
                    queries=[
                        Query(
                            most("database_transaction_running_seconds", by="instance", where=INSTANCE), "{{instance}}"
                        )
                    ],
                    unit="s",
                    warn_at=5,
                    bad_at=15,
                    runbook=["TransactionSlow"],
                ),
            ],
        ),
        Row(
            "What fails, and why?",
            [
                Panel(
                    title="Refused for good: events",
                    about="No retry can mend these: their sender has to.",
                    queries=[
                        Query(
                            rate(
                                "gateway_events_rejected_total", by="source, reason", where='source=~"$source|unknown"'
                            ),
                            "{{source}}: {{reason}}",
                        )
                    ],
                    unit="cps",
                    stacked=True,
                    width=6,
                    runbook=["ErrorRate"],
                ),
                Panel(
                    title="Not durable: events",
                    about="Valid, answered 503, to be sent again. The reason says what NATS did.",
                    queries=[
                        Query(rate("gateway_events_undurable_total", by="source, reason"), "{{source}}: {{reason}}")
                    ],
                    unit="cps",
                    stacked=True,
                    width=6,
                    runbook=["EventsNotDurable"],
                ),
                Panel(
                    title="Refused whole: requests",
                    about="Nothing of them was taken.",
                    queries=[Query(rate("gateway_requests_refused_total", by="reason", where=INSTANCE), "{{reason}}")],
                    unit="reqps",
                    stacked=True,
                    width=6,
                    runbook=["RequestsRefused"],
                ),
                Panel(
                    title="Dead letters: events",
                    about="Accepted, and could not be stored: each is kept with its reason.",
                    queries=[
                        Query(rate("collector_dead_letters_total", by="source, reason"), "{{source}}: {{reason}}")
                    ],
                    unit="cps",
                    stacked=True,
                    width=6,
                    runbook=["DeadLetters"],
                ),
                Panel(
                    title="Alerts that fire",
                    about="Each has its section in the runbook.",
                    queries=[
                        Query(
                            'sum by (alertname, source, instance) (ALERTS{alertstate="firing", service="floodgate"})',
                            "{{alertname}} {{source}} {{instance}}",
                        )
                    ],
                    width=24,
                    height=5,
                    may_be_empty="no alert fires while all is well",
                ),
            ],
        ),
        Row(
            "Is everything there?",
            [
                Panel(
                    title="Processes",
                    about="1 while Prometheus reaches it.",
                    queries=[Query(f'up{{job=~"floodgate-.*", {INSTANCE}}}', "{{job}} {{instance}}")],
                    width=6,
                    runbook=["GatewayDown", "CollectorDown"],
                ),
                Panel(
                    title="Connected to NATS",
                    about="1 while it is.",
                    queries=[Query(f"nats_connected{{{INSTANCE}}}", "{{job}} {{instance}}")],
                    width=4,
                    runbook=["NatsAway"],
                ),
                Panel(
                    title="Since NATS last answered",
                    about="The gateway asks it every two seconds. A line that climbs: NATS hangs, or is gone.",
                    queries=[Query(f"time() - gateway_backlog_seen_timestamp_seconds{{{INSTANCE}}}", "{{instance}}")],
                    unit="s",
                    warn_at=10,
                    bad_at=20,
                    width=4,
                    runbook=["NatsAway"],
                ),
                Panel(
                    title="PostgreSQL answers",
                    about="1 while the last transaction worked.",
                    queries=[Query(f"database_connected{{{INSTANCE}}}", "{{instance}}")],
                    width=5,
                    runbook=["DatabaseFails"],
                ),
                Panel(
                    title="The durable consumer is there",
                    about="0 while NATS does not know it.",
                    queries=[Query('min by (source) (collector_consumer_present{source=~"$source"})', "{{source}}")],
                    width=5,
                    runbook=["ConsumerMissing"],
                ),
            ],
        ),
    ],
)
