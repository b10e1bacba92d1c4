"""`python -m collectors --source facebook`: read the settings, run a collector."""

import argparse

from collectors.app import AllSettings, Collector
from collectors.settings import CollectorSettings, DatabaseSettings
from shared import lifecycle, logs
from shared.events import REGISTRY
from shared.metrics import CollectorMetrics
from shared.settings import LogSettings, TracingSettings
from shared.tracing import tracer
from streams.settings import NatsSettings, PublishSettings, StreamSettings


def main() -> None:
    """Store until SIGTERM or SIGINT. Exits 0; 1 for a fatal error; 2 for a wrong setting."""
    parser = argparse.ArgumentParser(
        prog="collectors",
        description="Stores a source's events in PostgreSQL. Start as many as you like for one source: they share "
        "the work. Everything else is set by environment variables: see docs/settings.md.",
    )
    parser.add_argument("--source", required=True, choices=REGISTRY.sources, help="whose events to store")
    parser.add_argument("--partition", type=int, help="only this one of its PARTITIONS, instead of PARTITION")
    parser.add_argument("--ops-port", type=int, help="port of health and metrics, instead of OPS_PORT")
    arguments = parser.parse_args()
    lifecycle.run(lambda: _run(arguments), program=f"collector-{arguments.source}")


async def _run(arguments: argparse.Namespace) -> None:
    log = logs.configure(LogSettings.load(), role="collector", source=arguments.source)
    given = {"ops_port": arguments.ops_port, "partition": arguments.partition}
    settings = AllSettings(
        collector=CollectorSettings.load(**{name: value for name, value in given.items() if value is not None}),
        database=DatabaseSettings.load(),
        nats=NatsSettings.load(),
        streams=StreamSettings.load(),
        publish=PublishSettings.load(),
    )
    shutdown = lifecycle.Shutdown()
    shutdown.listen()
    traces = tracer(TracingSettings.load(), service=f"floodgate-collector-{arguments.source}")
    try:
        await Collector(
            arguments.source,
            settings,
            registry=REGISTRY,
            shutdown=shutdown,
            log=log,
            metrics=CollectorMetrics(),
            tracer=traces,
        ).run()
    finally:
        traces.close()


if __name__ == "__main__":
    main()
