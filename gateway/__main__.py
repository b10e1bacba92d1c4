"""`python -m gateway`: read the settings, run the gateway."""

import argparse
import os

from gateway.app import AllSettings, Gateway
from gateway.settings import GatewaySettings
from gateway.workers import WORKER, run_workers, stop_with_parent
from shared import lifecycle, logs
from shared.events import REGISTRY
from shared.metrics import GatewayMetrics
from shared.settings import LogSettings, TracingSettings
from shared.tracing import tracer
from streams.settings import NatsSettings, PublishSettings, StreamSettings


def main() -> None:
    """Serve until SIGTERM or SIGINT. Exits 0; 1 for a fatal error; 2 for a wrong setting."""
    argparse.ArgumentParser(
        prog="gateway",
        description="Receives webhooks and makes their events durable in JetStream. "
        "Everything is set by environment variables: see docs/settings.md.",
    ).parse_args()
    lifecycle.run(_run, program="gateway")


async def _run() -> None:
    log = logs.configure(LogSettings.load(), role="gateway")
    settings = AllSettings(
        gateway=GatewaySettings.load(),
        nats=NatsSettings.load(),
        streams=StreamSettings.load(),
        publish=PublishSettings.load(),
    )
    shutdown = lifecycle.Shutdown()
    shutdown.listen()
    if WORKER in os.environ:
        stop_with_parent(shutdown)
    elif settings.gateway.workers > 1:
        await run_workers(settings.gateway.workers, shutdown=shutdown, log=log)
        return
    traces = tracer(TracingSettings.load(), service="floodgate-gateway")
    try:
        await Gateway(
            settings, registry=REGISTRY, shutdown=shutdown, log=log, metrics=GatewayMetrics(), tracer=traces
        ).run()
    finally:
        traces.close()


if __name__ == "__main__":
    main()
