"""`python -m gateway`: read the settings, run the gateway."""

import argparse
import os

from gateway import keys, senders
from gateway.app import AllSettings, Gateway
from gateway.settings import AccessSettings, GatewaySettings
from gateway.workers import WORKER, run_workers, stop_with_parent
from shared import lifecycle, logs
from shared.events import REGISTRY
from shared.metrics import GatewayMetrics
from shared.settings import LogSettings, TracingSettings
from shared.tracing import tracer
from streams.settings import NatsSettings, PublishSettings, StreamSettings


def main() -> None:
    """Serve until SIGTERM or SIGINT. Exits 0; 1 for a fatal error; 2 for a wrong setting."""
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="Receives webhooks and makes their events durable in JetStream. "
        "Everything is set by environment variables: see docs/settings.md.",
    )
    keys.add_command(parser.add_subparsers(title="commands", metavar="[keys]"))
    arguments = parser.parse_args()
    if (command := getattr(arguments, "command", None)) is not None:
        command(arguments)
    else:
        lifecycle.run(_run, program="gateway")


async def _run() -> None:
    log = logs.configure(LogSettings.load(), role="gateway")
    settings = AllSettings(
        gateway=GatewaySettings.load(),
        nats=NatsSettings.load(),
        streams=StreamSettings.load(),
        publish=PublishSettings.load(),
        access=AccessSettings.load(),
    )
    settings.access.refuse_unsafe(settings.gateway.host, workers=settings.gateway.workers)
    known = settings.access.senders
    allowed = senders.load(known, REGISTRY.sources, os.environ) if known is not None else None
    shutdown = lifecycle.Shutdown()
    shutdown.listen()
    if WORKER in os.environ:
        stop_with_parent(shutdown)
    elif settings.gateway.workers > 1:
        await run_workers(settings.gateway.workers, shutdown=shutdown, log=log)
        return
    traces = tracer(TracingSettings.load(), service="floodgate-gateway")
    gateway = Gateway(
        settings,
        registry=REGISTRY,
        shutdown=shutdown,
        log=log,
        metrics=GatewayMetrics(),
        senders=allowed,
        tracer=traces,
    )
    try:
        await gateway.run()
    finally:
        traces.close()


if __name__ == "__main__":
    main()
