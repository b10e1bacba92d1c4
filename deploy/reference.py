"""`python -m deploy.reference`: write what is generated, from the code that it describes: docs/settings.md,
docs/metrics.md, docs/observability.md and the Grafana dashboards.

Invariant: nothing in these pages is typed twice. Names, defaults, units and bounds come from the settings
classes and the metrics' registries; a test holds that the pages are what this module writes. It stands in
deploy/ as it needs the settings of every package, and deploy/ is the one that may import all of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase
from pydantic.fields import FieldInfo

from collectors.settings import CollectorSettings, DatabaseSettings
from deploy import observability
from deploy.dashboards import catalog
from deploy.local.settings import USUAL_INTERNAL_PORT, LocalSettings
from gateway.settings import AccessSettings, GatewaySettings
from shared.events import SOURCES
from shared.events.validation import UNKNOWN_SOURCE
from shared.metrics import CollectorMetrics, GatewayMetrics, RoleMetrics
from shared.outcomes import DeadLetterReason, FlushResult, Outcome, PublishFailure, RefuseReason, RejectReason
from shared.settings import FROM_FILE, LogSettings, Settings, TracingSettings, Unit, is_secret, takes
from streams.settings import NatsSettings, PublishSettings, StreamSettings

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
GENERATED: Final = "<!-- Written by `python -m deploy.reference`; a test fails where it is out of date. -->\n"


@dataclass(frozen=True, slots=True)
class Section:
    """A table of docs/settings.md: its heading, who reads it, what it is about."""

    title: str
    settings: type[Settings]
    about: str


SECTIONS: Final = (
    Section("Gateway", GatewaySettings, "Read by the gateway: HTTP, limits, and PostgreSQL for receipts."),
    Section("Access", AccessSettings, "Read by the gateway: who may post and read. docs/security.md has it in whole."),
    Section("Collectors", CollectorSettings, "Read by each collector: how it flushes, and its ops port."),
    Section("PostgreSQL", DatabaseSettings, "Read by the collectors and by `python -m collectors.migrate`."),
    Section("NATS", NatsSettings, "Read by the gateway, the collectors and `python -m streams`: the connection."),
    Section(
        "Streams",
        StreamSettings,
        "Read by the same programs, which have to agree on them: what `python -m streams apply` creates.",
    ),
    Section(
        "Publishing",
        PublishSettings,
        "Read by the gateway for events, and by the collectors for dead letters.",
    ),
    Section("Logs", LogSettings, "Read by every program. Logs go to standard error."),
    Section("Traces", TracingSettings, "Read by the gateway and the collectors: see docs/tracing.md."),
)

LABEL_VALUES: Final[Mapping[str, str]] = {
    "source": " ".join(f"`{source}`" for source in SOURCES)
    + f"; `{UNKNOWN_SOURCE}` too for events that are refused and name none",
    "route": "the webhook routes as they are written in the API; `none` for any other",
    "status": "HTTP status codes",
    "outcome": " ".join(f"`{outcome}`" for outcome in Outcome),
    "sender": "the names of the senders; `anyone` where the gateway runs open",
    "result": " ".join(f"`{result}`" for result in FlushResult),
    "stream": "the names of our streams",
}
REASONS: Final = {
    "gateway_events_rejected_total": RejectReason,
    "gateway_requests_refused_total": RefuseReason,
    "gateway_events_undurable_total": PublishFailure,
    "gateway_publish_failures_total": PublishFailure,
    "collector_dead_letters_total": DeadLetterReason,
}


def settings_page() -> str:
    """docs/settings.md."""
    local = LocalSettings.from_environment({})
    parts = [
        "# Settings\n",
        GENERATED,
        "Every setting is an environment variable, read once when a program starts. Without any of them, all "
        "programs find each other on this machine. An empty variable counts as unset. Where a value makes no "
        "sense, the program does not start: it names the variable, says what it got and what it takes, and exits "
        "with status 2.\n",
        "Values marked *secret* are never shown, in no message and no log. Each of them may also stand in a file: "
        f"`<variable>{FROM_FILE}` names it, for example `DATABASE_URL{FROM_FILE}=/run/secrets/database_url`. Line "
        "breaks at the file's end do not count; setting both, the variable and its file, is an error.\n",
        "Times are whole milliseconds. One variable means the same in every program that reads it; where a "
        "default differs, each table has its own.\n",
    ]
    for section in SECTIONS:
        parts += [f"## {section.title}\n", f"{section.about}\n"]
        parts.append(_table(("Variable", "Default", "Unit", "Takes", "What it is"), map(_setting, *_fields(section))))
    parts += [
        "## `make run`\n",
        "The local stack passes its environment on to the programs above, and reads these itself.\n",
        _table(
            ("Variable", "Default", "What it is"),
            [
                ("`DATA_DIR`", "`.data`", "Folder of both embedded servers' data, kept from run to run"),
                ("`HOST`", f"`{local.host}`", "Address that the gateway listens on"),
                ("`PORT`", f"`{local.port}`", "Port of the gateway, which never moves to another one"),
                (
                    "`INTERNAL_PORT`",
                    f"{USUAL_INTERNAL_PORT} where `SENDERS` are set, else none",
                    "Port on which the gateway is looked at; moves to a free one when it is taken",
                ),
                ("`NATS_URL`", "none", "Use this server instead of starting one"),
                ("`DATABASE_URL`", "none", "Use this PostgreSQL instead of starting one"),
            ],
        ),
    ]
    return "\n".join(parts)


def metrics_page() -> str:
    """docs/metrics.md."""
    header = ("Metric", "Type", "Labels", "What it says")
    common = {metric.name for metric in _metrics(RoleMetrics("any"))}
    parts = [
        "# Metrics\n",
        GENERATED,
        "Prometheus reads them from `GET /metrics`: on the gateway's `INTERNAL_PORT` where it has one, else on its "
        "`PORT`, and on each collector's `OPS_PORT`. "
        "A histogram `x` is there as `x_bucket`, `x_sum` and `x_count`.\n",
        "Every label takes its values from a closed list, so the number of series is bounded, whatever is sent. "
        "Counters are there from the start, at zero.\n",
        "## Both\n",
        "Beside these, the Python client adds `process_*` (CPU, memory, open files, start time) and `python_info`.\n",
        _table(header, (_row(metric) for metric in _metrics(RoleMetrics("any")))),
    ]
    for title, role in (("Gateway", GatewayMetrics()), ("Collectors", CollectorMetrics())):
        own = (metric for metric in _metrics(role) if metric.name not in common)
        parts += [f"## {title}\n", _table(header, (_row(metric) for metric in own))]
    parts += [
        "## Labels\n",
        _table(("Label", "Values"), ((f"`{name}`", values) for name, values in LABEL_VALUES.items())),
        "What `reason` can be depends on the metric:\n",
        _table(
            ("Metric", "`reason`"),
            ((f"`{name}`", " ".join(f"`{reason}`" for reason in reasons)) for name, reasons in REASONS.items()),
        ),
    ]
    return "\n".join(parts)


PAGES: Final = {"settings.md": settings_page, "metrics.md": metrics_page, "observability.md": observability.page}


def main() -> None:
    """Write the pages and the dashboards."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(f"wrote docs/{name}")
    for dashboard in catalog.DASHBOARDS:
        (catalog.FOLDER / f"{dashboard.name}.json").write_text(dashboard.text(), encoding="utf-8")
        print(f"wrote deploy/grafana/dashboards/{dashboard.name}.json")


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def _metrics(role: RoleMetrics) -> Iterator[_Metric]:
    """A role's metrics in the order they are defined in, under the names that are scraped."""
    yield _Metric("floodgate_build_info", "info", (), "Always 1; says the role, its version and Python's in labels")
    for metric in vars(role).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = metric._labelnames  # noqa: SLF001 - the library tells a metric's labels nowhere else
            yield _Metric(name, family.type, tuple(labels), family.documentation)


def _row(metric: _Metric) -> tuple[str, ...]:
    labels = " ".join(f"`{label}`" for label in metric.labels)
    return f"`{metric.name}`", metric.kind, labels or "–", metric.text  # noqa: RUF001 - a dash in a table for people


def _fields(section: Section) -> tuple[list[str], list[FieldInfo]]:
    fields = section.settings.model_fields
    return list(fields), list(fields.values())


def _setting(name: str, field: FieldInfo) -> tuple[str, ...]:
    if any(isinstance(mark, Unit) for mark in field.metadata):
        unit = "ms"
    else:
        unit = "bytes" if "bytes" in name.split("_") else "–"  # noqa: RUF001 - as above
    about = str(field.description)
    if is_secret(field):
        about += f" (*secret*; or `{field.alias}{FROM_FILE}`)"
    return f"`{field.alias}`", _default(field), unit, takes(field), about


def _default(field: FieldInfo) -> str:
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if field.default != "" else "empty"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
