"""The gateway: requests, what is in them, and what becomes of their events."""

from typing import Final

from deploy.dashboards.model import Dashboard, Panel, Query, Row
from deploy.dashboards.promql import INSTANCE, mean, most, quantile, rate

_REJECTED: Final = 'source=~"$source|unknown"'

GATEWAY: Final = Dashboard(
    "gateway",
    "Gateway",
    "Bulk processing rate, latency, errors, and what the gateway waits for.",
    [
        Row(
            "Requests",
            [
                Panel(
                    title="Answers by route and status",
                    about="422: nothing in it was valid. 503: to be sent again.",
                    queries=[
                        Query(
                            rate("gateway_requests_total", by="route, status", where=INSTANCE), "{{status}} {{route}}"
                        )
                    ],
                    unit="reqps",
                    runbook=["RequestsFail"],
                ),
                Panel(
                    title="How long a request takes",
                    about="From its headers to its answer. A bulk of 50,000 events takes about a second.",
                    queries=[
                        Query(quantile(share, "gateway_bulk_processing_duration_seconds", where=INSTANCE), name)
                        for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                    ],
                    unit="s",
                    warn_at=5,
                    bad_at=10,
                    runbook=["RequestsSlow"],
                ),
                Panel(
                    title="Events in a request",
                    about="Larger requests take longer, and cost less an event.",
                    queries=[
                        Query(mean("gateway_bulk_batch_size_histogram", where=INSTANCE), "mean"),
                        Query(quantile(0.95, "gateway_bulk_batch_size_histogram", where=INSTANCE), "95 %"),
                    ],
                ),
                Panel(
                    title="Requests in flight",
                    about="Past MAX_REQUESTS_IN_FLIGHT the next one is refused as busy.",
                    queries=[Query(f"sum by (instance) (gateway_requests_in_flight{{{INSTANCE}}})", "{{instance}}")],
                    runbook=["RequestsRefused"],
                ),
                Panel(
                    title="Their bytes",
                    about="Past MAX_BYTES_IN_FLIGHT the next one is refused as busy.",
                    queries=[Query(f"sum by (instance) (gateway_bytes_in_flight{{{INSTANCE}}})", "{{instance}}")],
                    unit="bytes",
                    runbook=["RequestsRefused"],
                ),
                Panel(
                    title="Refused whole, by reason",
                    about="busy: too much at once. backlog: the collectors are behind. not_connected: NATS is away.",
                    queries=[Query(rate("gateway_requests_refused_total", by="reason", where=INSTANCE), "{{reason}}")],
                    unit="reqps",
                    stacked=True,
                    runbook=["RequestsRefused"],
                ),
            ],
        ),
        Row(
            "Events",
            [
                Panel(
                    title="Accepted and made durable",
                    about="The two lines of a source part while NATS does not acknowledge.",
                    queries=[
                        Query(rate("gateway_events_accepted_total", by="source"), "{{source}} accepted"),
                        Query(rate("gateway_bulk_events_processed_total", by="source"), "{{source}} durable"),
                    ],
                    unit="cps",
                    runbook=["NoEvents"],
                ),
                Panel(
                    title="Refused for good, by reason",
                    about="The answer to each request names the event and the field.",
                    queries=[
                        Query(
                            rate("gateway_events_rejected_total", by="source, reason", where=_REJECTED),
                            "{{source}}: {{reason}}",
                        )
                    ],
                    unit="cps",
                    stacked=True,
                    runbook=["ErrorRate"],
                ),
                Panel(
                    title="Not durable, by reason",
                    about="Valid, and answered 503.",
                    queries=[
                        Query(rate("gateway_events_undurable_total", by="source, reason"), "{{source}}: {{reason}}")
                    ],
                    unit="cps",
                    stacked=True,
                    runbook=["EventsNotDurable"],
                ),
                Panel(
                    title="Failed, of all",
                    about="Refused and not durable together, over 5 minutes.",
                    queries=[Query(f"floodgate:events_failed:ratio5m{{{_REJECTED}}} >= 0", "{{source}}")],
                    unit="percentunit",
                    warn_at=0.01,
                    bad_at=0.05,
                    runbook=["ErrorRate"],
                ),
                Panel(
                    title="Since the last event",
                    about="A source that usually has some, and has none: its platform, its network or its key.",
                    queries=[
                        Query(f"time() - {most('gateway_last_event_timestamp_seconds', by='source')}", "{{source}}")
                    ],
                    unit="s",
                    runbook=["NoEvents"],
                ),
            ],
        ),
        Row(
            "Senders",
            [
                Panel(
                    title="Events by sender",
                    about="Made durable. All are of one sender, anyone, where the gateway runs open.",
                    queries=[Query(rate("gateway_sender_events_total", by="sender", where=INSTANCE), "{{sender}}")],
                    unit="cps",
                    stacked=True,
                    width=6,
                ),
                Panel(
                    title="Answers by sender and status",
                    about="401, 403: its key, signature or scope. 429: it is over its rate.",
                    queries=[
                        Query(
                            rate("gateway_sender_requests_total", by="sender, status", where=INSTANCE),
                            "{{sender}} {{status}}",
                        )
                    ],
                    unit="reqps",
                    width=6,
                    runbook=["SenderRefused"],
                ),
                Panel(
                    title="Refused at the door",
                    about="unauthenticated: a key that nobody has here. not_http, connections: no request came of it.",
                    queries=[
                        Query(
                            rate(
                                "gateway_requests_refused_total",
                                by="reason",
                                where=f'reason=~"unauthenticated|forbidden|rate|not_http|connections", {INSTANCE}',
                            ),
                            "{{reason}}",
                        )
                    ],
                    unit="reqps",
                    stacked=True,
                    width=6,
                    runbook=["SenderUnknown", "RequestsRefused"],
                ),
                Panel(
                    title="Until a sender's secret ends",
                    about="Send the sender its next secret before.",
                    queries=[
                        Query("min by (sender) (gateway_sender_secret_expiry_timestamp_seconds) - time()", "{{sender}}")
                    ],
                    unit="s",
                    width=6,
                    warn_at=14 * 86_400,
                    bad_at=2 * 86_400,
                    runbook=["SecretExpires"],
                    may_be_empty="no sender's secret has an end",
                ),
            ],
        ),
        Row(
            "What it waits for",
            [
                Panel(
                    title="Publishing a message",
                    about="From the first attempt to the acknowledgement, which comes after the disk.",
                    queries=[
                        Query(quantile(share, "gateway_publish_duration_seconds", where=INSTANCE), name)
                        for share, name in ((0.5, "median"), (0.99, "99 %"))
                    ],
                    unit="s",
                    warn_at=0.5,
                    bad_at=2.5,
                    runbook=["RequestsSlow", "EventsNotDurable"],
                ),
                Panel(
                    title="Attempts after the first, and messages given up",
                    about="A message is tried PUBLISH_ATTEMPTS times.",
                    queries=[
                        Query(rate("gateway_publish_retries_total", where=INSTANCE), "retries"),
                        Query(
                            rate("gateway_publish_failures_total", by="reason", where=INSTANCE), "given up: {{reason}}"
                        ),
                    ],
                    unit="cps",
                    runbook=["EventsNotDurable"],
                ),
                Panel(
                    title="Backlog as a share of the stream's limit",
                    about="At 1 an unread message would be evicted. The guard closes at BACKLOG_CLOSE_AT.",
                    queries=[
                        Query(most("gateway_backlog_share", by="source"), "{{source}}"),
                        Query(f"max(gateway_backlog_guard_closed{{{INSTANCE}}})", "guard closed"),
                    ],
                    unit="percentunit",
                    warn_at=0.5,
                    bad_at=0.9,
                    runbook=["BacklogNearLimit", "BacklogGuardClosed"],
                ),
            ],
        ),
    ],
)
