"""What the processes use of their machines, and which versions run."""

from typing import Final

from deploy.dashboards.model import Dashboard, Panel, Query, Row
from deploy.dashboards.promql import INSTANCE, quantile

_OURS: Final = f'job=~"floodgate-.*", {INSTANCE}'
_NOT_WITH_WORKERS: Final = " Not told by a gateway of several workers (GATEWAY_WORKERS)."

RESOURCES: Final = Dashboard(
    "resources",
    "Resource usage",
    "CPU, memory, files, the event loop, and which versions run.",
    [
        Row(
            "By process",
            [
                Panel(
                    title="CPU",
                    about="Of one core: each process has one event loop, and is full at about 1." + _NOT_WITH_WORKERS,
                    queries=[
                        Query(f"rate(process_cpu_seconds_total{{{_OURS}}}[$__rate_interval])", "{{job}} {{instance}}")
                    ],
                    unit="percentunit",
                    warn_at=0.8,
                    bad_at=0.95,
                    runbook=["EventLoopLate"],
                ),
                Panel(
                    title="How late the event loop is",
                    about="99 % of looks. Everything in the process waits so long, health checks too.",
                    queries=[
                        Query(
                            quantile(0.99, "event_loop_lag_seconds", by="job, instance", where=_OURS),
                            "{{job}} {{instance}}",
                        )
                    ],
                    unit="s",
                    warn_at=0.1,
                    bad_at=1,
                    runbook=["EventLoopLate"],
                ),
                Panel(
                    title="Memory",
                    about="Resident." + _NOT_WITH_WORKERS,
                    queries=[Query(f"process_resident_memory_bytes{{{_OURS}}}", "{{job}} {{instance}}")],
                    unit="bytes",
                ),
                Panel(
                    title="Open files, of those allowed",
                    about="Connections are files too." + _NOT_WITH_WORKERS,
                    queries=[
                        Query(f"process_open_fds{{{_OURS}}} / process_max_fds{{{_OURS}}}", "{{job}} {{instance}}")
                    ],
                    unit="percentunit",
                    warn_at=0.7,
                    bad_at=0.9,
                ),
                Panel(
                    title="Running for",
                    about="Since the process started." + _NOT_WITH_WORKERS,
                    queries=[Query(f"time() - process_start_time_seconds{{{_OURS}}}", "{{job}} {{instance}}")],
                    unit="s",
                    runbook=["CollectorRestarts"],
                ),
                Panel(
                    title="Versions",
                    about="How many processes run which.",
                    queries=[
                        Query(
                            "count by (role, version, python) (floodgate_build_info)",
                            "{{role}} {{version}}, Python {{python}}",
                        )
                    ],
                    stacked=True,
                ),
            ],
        ),
    ],
)
