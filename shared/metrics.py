"""Every Prometheus metric of both roles, each with who moves it.

Invariant: label values come from closed lists (sources of the registry, the enums of `shared.outcomes`, the routes,
our streams, the senders of the configuration), so the number of series is bounded whatever is sent. Counters are
there from the start, at zero (`start_at_zero`): Prometheus can't see the growth to a series' first value, and would
miss the first bulk.
"""

import os
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.multiprocess import MultiProcessCollector

from shared.events.validation import UNKNOWN_SOURCE
from shared.outcomes import DeadLetterReason, FlushResult, Outcome, PublishFailure, RefuseReason, RejectReason

MULTIPROCESS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's own variable: set for the workers of a gateway (`gateway.workers`)."""

REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
PUBLISH_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FRESHNESS_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600)
LOOP_LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
BULK_EVENTS: Final = (1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000)


class RoleMetrics:
    """What both roles have."""

    def __init__(self, role: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody reads
        self.registry = registry = CollectorRegistry()
        # What /metrics shows: this process's metrics, or those of all workers that share its port, added up.
        self.exposed = registry
        if MULTIPROCESS_FOLDER in os.environ:
            self.exposed = CollectorRegistry()
            MultiProcessCollector(self.exposed)  # type: ignore[no-untyped-call]  # untyped there
        else:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        Info("floodgate_build", "Version of the program", registry=self.exposed).info(
            {"role": role, "version": app_version(), "python": python_version()}
        )
        # moved by streams.connection, on every change of the connection's state
        self.nats_connected = Gauge(
            "nats_connected", "1 while connected to NATS", registry=registry, multiprocess_mode="livemin"
        )
        self.nats_reconnects = Counter("nats_reconnects_total", "Reconnections to NATS", registry=registry)
        # shared.loop_lag, twice a second
        self.loop_lag_seconds = Histogram(
            "event_loop_lag_seconds",
            "How much later than asked for the event loop came back",
            buckets=LOOP_LAG_SECONDS,
            registry=registry,
        )


class GatewayMetrics(RoleMetrics):
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        super().__init__("gateway")
        r = self.registry
        # gateway.app, once a request
        self.requests = Counter("gateway_requests_total", "HTTP requests answered", ["route", "status"], registry=r)
        # gateway.handlers, once a request that was not refused; gateway.problems, once one refused for its sender
        self.sender_requests = Counter(
            "gateway_sender_requests_total",
            "Webhook requests whose events were looked at, and requests refused for their sender, by sender (anyone "
            "where the gateway runs open) and status",
            ["sender", "status"],
            registry=r,
        )
        self.sender_events = Counter(
            "gateway_sender_events_total", "Events made durable, by sender", ["sender"], registry=r
        )
        # gateway.intake, once an event or a message
        self.events_accepted = Counter(
            "gateway_events_accepted_total", "Valid events, on their way to the disk", ["source"], registry=r
        )
        self.last_event = Gauge(
            "gateway_last_event_timestamp_seconds", "When an event of the source was last made durable",
            ["source"], registry=r, multiprocess_mode="max",
        )  # fmt: skip
        self.events_processed = Counter(
            "gateway_bulk_events_processed_total", "Events made durable, by source", ["source"], registry=r
        )
        self.events_rejected = Counter(
            "gateway_events_rejected_total",
            "Events refused for good, by source (unknown where they name none) and reason",
            ["source", "reason"],
            registry=r,
        )
        self.events_undurable = Counter(
            "gateway_events_undurable_total",
            "Valid events that could not be made durable, by source and reason",
            ["source", "reason"],
            registry=r,
        )
        # gateway.handlers, once a request that was not refused
        self.request_seconds = Histogram(
            "gateway_bulk_processing_duration_seconds",
            "From the headers of a webhook request to its answer",
            buckets=REQUEST_SECONDS,
            registry=r,
        )
        self.request_events = Histogram(
            "gateway_bulk_batch_size_histogram",
            "Events in a webhook request",
            buckets=BULK_EVENTS,
            registry=r,
        )
        # gateway.admission, at entry and exit of a request
        self.requests_in_flight = Gauge(
            "gateway_requests_in_flight", "Webhook requests being worked on", registry=r, multiprocess_mode="livesum"
        )
        self.bytes_in_flight = Gauge(
            "gateway_bytes_in_flight", "Body bytes held by these requests", registry=r, multiprocess_mode="livesum"
        )
        # gateway.problems, once such a request
        self.requests_refused = Counter(
            "gateway_requests_refused_total", "Requests refused whole, by reason", ["reason"], registry=r
        )
        # streams.publisher, once a message
        self.publish_seconds = Histogram(
            "gateway_publish_duration_seconds",
            "From a message's first attempt to its acknowledgement",
            buckets=PUBLISH_SECONDS,
            registry=r,
        )
        self.publish_retries = Counter(
            "gateway_publish_retries_total", "Attempts to publish after the first", registry=r
        )
        self.publish_failures = Counter(
            "gateway_publish_failures_total", "Messages given up after all attempts", ["reason"], registry=r
        )
        # streams.backlog, every few seconds
        self.backlog_messages = Gauge(
            "gateway_backlog_messages", "Messages that no collector has stored yet",
            ["source"], registry=r, multiprocess_mode="livemax",
        )  # fmt: skip
        self.backlog_share = Gauge(
            "gateway_backlog_share",
            "The fullest stream's backlog as a share of its nearest limit; at 1 an unread message would be evicted",
            ["source"],
            registry=r,
            multiprocess_mode="livemax",
        )
        self.backlog_oldest_seconds = Gauge(
            "gateway_backlog_oldest_seconds", "Age of the oldest message that no collector has stored yet",
            ["source"], registry=r, multiprocess_mode="livemax",
        )  # fmt: skip
        self.backlog_seen = Gauge(
            "gateway_backlog_seen_timestamp_seconds", "When NATS last answered how large the backlog is",
            registry=r, multiprocess_mode="livemin",
        )  # fmt: skip
        self.backlog_guard_closed = Gauge(
            "gateway_backlog_guard_closed",
            "1 while nothing is taken, as the collectors are too far behind or how far can't be seen",
            registry=r,
            multiprocess_mode="livemax",
        )
        # gateway.app, at the start
        self.secret_expiry = Gauge(
            "gateway_sender_secret_expiry_timestamp_seconds", "When a sender's secret ends, where it does",
            ["sender"], registry=r, multiprocess_mode="livemax",
        )  # fmt: skip

    def start_at_zero(self, sources: Iterable[str], senders: Iterable[str]) -> None:
        """Make the counters of all that can be counted for these. Called once, by gateway.app."""
        for sender in senders:
            self.sender_events.labels(sender)
        for refusal in RefuseReason:
            self.requests_refused.labels(refusal)
        for failure in PublishFailure:
            self.publish_failures.labels(failure)
        sources = tuple(sources)
        for rejection in RejectReason:
            for source in (*sources, UNKNOWN_SOURCE):
                self.events_rejected.labels(source, rejection)
        for source in sources:
            self.events_accepted.labels(source)
            self.events_processed.labels(source)
            for failure in PublishFailure:
                self.events_undurable.labels(source, failure)


class CollectorMetrics(RoleMetrics):
    """A collector's metrics, in a registry of their own."""

    def __init__(self) -> None:
        super().__init__("collector")
        r = self.registry
        # collectors.worker, once a flush
        self.operations = Counter(
            "collector_bulk_operations_total",
            "Flushes, by result: stored, isolated (a part was poison), retried (to be tried again)",
            ["source", "result"],
            registry=r,
        )
        self.flush_events = Histogram(
            "collector_flush_events", "Events in a flush", ["source"], buckets=BULK_EVENTS, registry=r
        )
        self.freshness_seconds = Histogram(
            "collector_freshness_seconds",
            "From a message's being durable in JetStream to the commit of its events",
            ["source"],
            buckets=FRESHNESS_SECONDS,
            registry=r,
        )
        self.events = Counter("collector_events_total", "Events settled, by outcome", ["source", "outcome"], registry=r)
        self.dead_letters = Counter(
            "collector_dead_letters_total",
            "Events dead-lettered, by reason",
            ["source", "reason"],
            registry=r,
        )
        self.redeliveries = Counter(
            "collector_redeliveries_total",
            "Messages delivered for a second time or more",
            ["source"],
            registry=r,
        )
        # collectors.worker, at every fetch
        self.consumer_present = Gauge(
            "collector_consumer_present", "0 while the durable consumer is missing", ["source"], registry=r
        )
        # collectors.app, every few seconds
        self.lag_messages = Gauge(
            "collector_lag_messages", "Messages not stored yet: waiting, and delivered but unacknowledged",
            ["source"], registry=r,
        )  # fmt: skip
        self.lag_seconds = Gauge(
            "collector_lag_seconds",
            "Age of the oldest message that is not stored yet",
            ["source"],
            registry=r,
        )
        # streams.usage, every few seconds
        self.stream_messages = Gauge("nats_stream_messages", "Messages that a stream holds", ["stream"], registry=r)
        self.stream_bytes = Gauge("nats_stream_bytes", "Bytes that a stream holds", ["stream"], registry=r)
        self.stream_limit_bytes = Gauge(
            "nats_stream_limit_bytes", "Bytes that a stream may hold at most", ["stream"], registry=r
        )
        # collectors.store, once a transaction
        self.insert_seconds = Histogram(
            "database_bulk_insert_duration_seconds", "A flush's transaction, commit included",
            ["source"], buckets=PUBLISH_SECONDS, registry=r,
        )  # fmt: skip
        self.database_connected = Gauge("database_connected", "1 while the last transaction worked", registry=r)
        # collectors.store, when they are scraped
        self.transaction_running_seconds = Gauge(
            "database_transaction_running_seconds",
            "How long the oldest transaction that is still running has been, its wait for a connection included",
            registry=r,
        )
        self.pool_size = Gauge("database_pool_size", "Open connections in the pool", registry=r)
        self.pool_idle = Gauge("database_pool_idle", "Of these, idle ones", registry=r)
        self.pool_max_size = Gauge("database_pool_max_size", "Connections that the pool may open", registry=r)

    def start_at_zero(self, source: str) -> None:
        """Make the counters of all that can be counted for this source. Called once, by collectors.app."""
        self.redeliveries.labels(source)
        self.flush_events.labels(source)
        self.freshness_seconds.labels(source)
        self.insert_seconds.labels(source)
        for result in FlushResult:
            self.operations.labels(source, result)
        for outcome in Outcome:
            self.events.labels(source, outcome)
        for reason in DeadLetterReason:
            self.dead_letters.labels(source, reason)


def app_version() -> str:
    """The installed version; `0+source` when run from a checkout that was not installed."""
    try:
        return version("floodgate")
    except PackageNotFoundError:
        return "0+source"
