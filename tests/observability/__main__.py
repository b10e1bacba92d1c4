"""`python -m tests.observability [FOLDER]`: pictures of the dashboards from a real run, for docs/images/.

A stack, a Prometheus with what is shipped, two minutes of bulk tests of different sizes, some of their events invalid
or sent twice, and a message that no collector can read. Not Grafana's rendering: see `deploy.dashboards.render`.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import nats

from deploy.dashboards import render
from tests.e2e.stack import ROOT, Stack, python, stack
from tests.observability.exporter import EXPORTER, PostgresExporter
from tests.observability.prometheus import PrometheusServer

SHOWN: Final = ("overview",)
LOADS: Final = (
    ("--total", "100000", "--batch", "500", "--concurrency", "2"),
    ("--total", "250000", "--batch", "5000", "--invalid", "0.005"),
    ("--total", "80000", "--batch", "200", "--invalid", "0.02", "--duplicates", "0.05"),
    ("--total", "300000", "--batch", "20000", "--concurrency", "2"),
    ("--total", "60000", "--batch", "100", "--invalid", "0.01"),
)
PAUSE_S: Final = 8.0
"""So that the steps are told apart in the picture."""


async def main(out: Path) -> None:
    """Run, and write a PNG a dashboard to `out`."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        async with stack(folder / "data") as running:
            targets = {
                "gateway": [urlsplit(running.url).netloc],
                "collectors": [urlsplit(one["ops_url"]).netloc for one in running.status["collectors"]],
            }
            exporter = PostgresExporter(folder / "exporter", running.dsn) if EXPORTER else None
            if exporter:
                await asyncio.to_thread(exporter.start)
                targets["postgres"] = [f"127.0.0.1:{exporter.port}"]
            prometheus = PrometheusServer(folder / "prometheus", targets, every="2s")
            try:
                await asyncio.to_thread(prometheus.start)
                started = monotonic()
                await load(running)
                minutes = f"{(monotonic() - started) / 60:.2f}"
                for name in SHOWN:
                    picture = out / f"dashboard-{name}.png"
                    asked = (name, "--prometheus", prometheus.url, "--minutes", minutes, "--out", str(picture))
                    if await asyncio.to_thread(render.main, asked):
                        raise SystemExit(1)
            finally:
                await asyncio.to_thread(prometheus.close)
                if exporter:
                    await asyncio.to_thread(exporter.close)


async def load(running: Stack) -> None:
    """One after the other, with pauses; and a few requests that are none."""
    for options in LOADS:
        await asyncio.sleep(PAUSE_S)
        await python("-m", "loadtest", "bulk-test", "--url", running.url, *options)
        await running.post(b"nonsense", correlation_id="nonsense")
    client = await nats.connect(running.status["nats"]["url"])
    await client.jetstream().publish("events.tiktok", b"nonsense")
    await client.close()
    await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"))
