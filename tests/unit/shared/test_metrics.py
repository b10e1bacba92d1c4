"""The metrics that dashboards and alerts are built on: their names stay, and their series are bounded."""

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


def test_two_of_a_role_do_not_share_a_registry() -> None:
    first, second = GatewayMetrics(), GatewayMetrics()
    first.publish_retries.inc()
    assert second.registry.get_sample_value("gateway_publish_retries_total") == 0
