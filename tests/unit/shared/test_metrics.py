"""The metrics that dashboards and alerts are built on: their names stay, and their series are bounded."""

import shutil
import subprocess
from collections.abc import Iterator
from enum import StrEnum
from platform import python_version

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from deploy import reference
from shared.metrics import CollectorMetrics, GatewayMetrics, RoleMetrics, app_version
from shared.outcomes import DeadLetterReason, Outcome, PublishFailure, RefuseReason, RejectReason

Role = type[GatewayMetrics] | type[CollectorMetrics]
ROLES: tuple[Role, ...] = (GatewayMetrics, CollectorMetrics)
PROMTOOL = shutil.which("promtool")
KNOWN_TO_THE_LINTER = {
    # its name is older than this project, and is relied on
    "gateway_bulk_batch_size_histogram metric name should not include type 'histogram'",
}


def scraped(role: RoleMetrics) -> dict[str, str]:
    """The type of each family by its name, as a scrape shows it."""
    families = text_string_to_metric_families(generate_latest(role.registry).decode())
    return {family.name: family.type for family in families}


def wrapped(role: RoleMetrics) -> Iterator[tuple[str, MetricWrapperBase]]:
    for name, metric in vars(role).items():
        if isinstance(metric, MetricWrapperBase):
            yield name, metric


@pytest.mark.parametrize(
    ("role", "name", "kind"),
    [
        (GatewayMetrics, "gateway_bulk_events_processed", "counter"),  # the format's parser takes _total off
        (GatewayMetrics, "gateway_bulk_processing_duration_seconds", "histogram"),
        (GatewayMetrics, "gateway_bulk_batch_size_histogram", "histogram"),
        (GatewayMetrics, "gateway_events_rejected", "counter"),
        (GatewayMetrics, "gateway_requests_in_flight", "gauge"),
        (GatewayMetrics, "gateway_requests_refused", "counter"),
        (GatewayMetrics, "gateway_publish_duration_seconds", "histogram"),
        (GatewayMetrics, "gateway_publish_retries", "counter"),
        (GatewayMetrics, "gateway_events_accepted", "counter"),
        (GatewayMetrics, "gateway_events_undurable", "counter"),
        (GatewayMetrics, "gateway_backlog_oldest_seconds", "gauge"),
        (GatewayMetrics, "gateway_backlog_guard_closed", "gauge"),
        (GatewayMetrics, "gateway_last_event_timestamp_seconds", "gauge"),
        (GatewayMetrics, "gateway_sender_secret_expiry_timestamp_seconds", "gauge"),
        (GatewayMetrics, "event_loop_lag_seconds", "histogram"),
        (CollectorMetrics, "event_loop_lag_seconds", "histogram"),
        (CollectorMetrics, "collector_freshness_seconds", "histogram"),
        (CollectorMetrics, "collector_consumer_present", "gauge"),
        (CollectorMetrics, "database_transaction_running_seconds", "gauge"),
        (CollectorMetrics, "database_pool_idle", "gauge"),
        (CollectorMetrics, "database_pool_max_size", "gauge"),
        (CollectorMetrics, "nats_stream_bytes", "gauge"),
        (CollectorMetrics, "nats_stream_limit_bytes", "gauge"),
        (CollectorMetrics, "collector_bulk_operations", "counter"),
        (CollectorMetrics, "database_bulk_insert_duration_seconds", "histogram"),
        (CollectorMetrics, "collector_lag_messages", "gauge"),
        (CollectorMetrics, "collector_lag_seconds", "gauge"),
        (CollectorMetrics, "collector_flush_events", "histogram"),
        (CollectorMetrics, "collector_events", "counter"),
        (CollectorMetrics, "collector_dead_letters", "counter"),
        (CollectorMetrics, "database_pool_size", "gauge"),
    ],
)
def test_a_name_that_others_rely_on_is_there(role: Role, name: str, kind: str) -> None:
    assert scraped(role())[name] == kind


@pytest.mark.parametrize("role", ROLES)
def test_counters_are_scraped_with_total_in_their_name(role: Role) -> None:
    made = role()
    for _, metric in wrapped(made):
        (family,) = metric.describe()
        if family.type == "counter":
            child = metric.labels(*["x"] * len(metric._labelnames)) if metric._labelnames else metric
            assert child is not None
            assert f"\n{family.name}_total" in generate_latest(made.registry).decode()


@pytest.mark.parametrize("role", ROLES)
def test_both_roles_tell_their_build_and_their_connection(role: Role) -> None:
    made = role()
    assert {"floodgate_build_info", "nats_connected", "nats_reconnects"} <= set(scraped(made))
    sample = made.registry.get_sample_value(
        "floodgate_build_info",
        {"role": role.__name__.removesuffix("Metrics").lower(), "version": app_version(), "python": python_version()},
    )
    assert sample == 1


@pytest.mark.parametrize("role", ROLES)
def test_every_metric_has_a_sentence(role: Role) -> None:
    for name, metric in wrapped(role()):
        (family,) = metric.describe()
        assert len(family.documentation.split()) >= 2, name
        assert not family.documentation.endswith("."), name


@pytest.mark.parametrize("role", ROLES)
def test_every_label_has_a_closed_list(role: Role) -> None:
    for name, metric in wrapped(role()):
        (family,) = metric.describe()
        for label in metric._labelnames:
            if label == "reason":
                assert f"{family.name}_total" in reference.REASONS, name
            else:
                assert label in reference.LABEL_VALUES, name


@pytest.mark.parametrize("reasons", [RejectReason, RefuseReason, PublishFailure, Outcome, DeadLetterReason])
def test_a_value_of_a_closed_list_is_a_plain_word_and_is_itself_in_a_label(reasons: type[StrEnum]) -> None:
    for reason in reasons:
        assert reason.value.replace("_", "").isalpha()
        assert reason.value == reason.value.lower()
        assert f"{reason}" == reason.value


def test_counters_are_at_zero_before_the_first_event() -> None:
    gateway, collector = GatewayMetrics(), CollectorMetrics()
    gateway.start_at_zero(["facebook"], ["acme"])
    collector.start_at_zero("facebook")
    for made in (gateway, collector):
        shown = generate_latest(made.registry).decode()
        for _, metric in wrapped(made):
            (family,) = metric.describe()
            if family.type == "counter" and not {"status", "sender"} & set(metric._labelnames):
                assert f"\n{family.name}_total" in shown, family.name
    for reason in RejectReason:  # events that name no source are counted too
        labels = {"source": "unknown", "reason": reason}
        assert gateway.registry.get_sample_value("gateway_events_rejected_total", labels) == 0


@pytest.mark.parametrize("role", ROLES)
def test_no_counter_brings_a_second_series_with_its_time_of_birth(role: Role) -> None:
    made = role()
    made.nats_reconnects.inc()
    assert "_created" not in generate_latest(made.registry).decode()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: it comes with Debian's package prometheus")
@pytest.mark.parametrize("role", ROLES)
def test_the_linter_of_prometheus_has_nothing_to_say(role: Role) -> None:
    assert PROMTOOL is not None
    said = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=generate_latest(role().registry), capture_output=True, check=False
    )
    lines = (said.stdout + said.stderr).decode().splitlines()
    assert [line for line in lines if line and line not in KNOWN_TO_THE_LINTER] == []


def test_two_of_a_role_do_not_share_a_registry() -> None:
    first, second = GatewayMetrics(), GatewayMetrics()
    first.publish_retries.inc()
    assert second.registry.get_sample_value("gateway_publish_retries_total") == 0
