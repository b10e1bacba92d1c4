"""After a run, a real Prometheus has an answer for every panel, and no alert cries for nothing."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import nats
import pytest
import pytest_asyncio

from deploy.dashboards.catalog import DASHBOARDS
from tests.contract.test_observability import as_asked
from tests.e2e.stack import Stack, python, stack, until
from tests.observability.exporter import EXPORTER, PostgresExporter
from tests.observability.prometheus import PROGRAM, PrometheusServer
from tests.unit.shared.test_metrics import KNOWN_TO_THE_LINTER

SCRAPED_WITHIN_S = 15.0
EXPORTER_NAME = "postgres_exporter"
PROMTOOL = shutil.which("promtool")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        PROGRAM is None or PROMTOOL is None, reason="Prometheus is not installed: it is Debian's package prometheus"
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Stack, PrometheusServer]]:
    """A stack that a Prometheus watches, after a bulk test in which something of everything has happened."""
    folder = tmp_path_factory.mktemp("observability")
    async with stack(folder / "data") as running:
        targets = {
            "gateway": [urlsplit(running.url).netloc],
            "collectors": [urlsplit(one["ops_url"]).netloc for one in running.status["collectors"]],
        }
        exporter = PostgresExporter(folder / "exporter", running.dsn) if EXPORTER else None
        if exporter:
            await asyncio.to_thread(exporter.start)
            targets["postgres"] = [f"127.0.0.1:{exporter.port}"]
        prometheus = PrometheusServer(folder / "prometheus", targets)
        try:
            await asyncio.to_thread(prometheus.start)
            await scraped(prometheus, "count(up == 1) == " + str(sum(map(len, targets.values()))))
            await run_load(running)
            yield running, prometheus
        finally:
            await asyncio.to_thread(prometheus.close)
            if exporter:
                await asyncio.to_thread(exporter.close)


async def run_load(running: Stack) -> None:
    """5,000 events, some invalid and some twice; a request that is none; a message that no collector can read."""
    bulk_test = ("-m", "loadtest", "bulk-test", "--url", running.url, "--total", "5000", "--batch", "500")
    code, said = await python(*bulk_test, "--invalid", "0.1", "--duplicates", "0.1", "--min-success", "0.5")
    assert code == 0, said
    status, _ = await running.post(b"nonsense", correlation_id="nonsense")
    assert status == 400
    client = await nats.connect(running.status["nats"]["url"])
    await client.jetstream().publish("events.facebook", b"nonsense")
    await client.close()


async def scraped(prometheus: PrometheusServer, condition: str) -> None:
    """Wait until the condition, which is PromQL, has an answer."""

    async def holds() -> bool:
        return bool(await asyncio.to_thread(prometheus.query, condition))

    try:
        await until(holds, within_s=SCRAPED_WITHIN_S)
    except AssertionError:
        seen = await asyncio.to_thread(prometheus.query, condition.partition(" > ")[0])
        raise AssertionError(f"{condition} did not come true: {seen}") from None


async def test_no_panel_is_empty_after_a_run(watched: tuple[Stack, PrometheusServer]) -> None:
    _, prometheus = watched
    await scraped(prometheus, "sum(increase(collector_dead_letters_total[5m])) > 0")
    await scraped(prometheus, 'max(nats_stream_messages{stream="DEAD_LETTERS"}) > 0')
    await scraped(prometheus, 'sum(increase(collector_events_total{outcome="stored"}[5m])) > 0')
    empty, asked = [], 0
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            if panel.may_be_empty or (panel.exporter and not (panel.exporter == EXPORTER_NAME and EXPORTER)):
                continue
            for query in panel.queries:
                asked += 1
                found = await asyncio.to_thread(prometheus.query, as_asked(query.expr))
                if not any(one["value"][1] != "NaN" for one in found):
                    empty.append(f"{dashboard.title}: {panel.title}: {query.expr}")
    assert empty == []
    assert asked > 80  # all of our own


async def test_what_failed_in_the_run_is_seen_with_its_reason(watched: tuple[Stack, PrometheusServer]) -> None:
    _, prometheus = watched
    for condition in (
        "sum(increase(gateway_events_rejected_total[5m])) > 300",
        'increase(gateway_requests_refused_total{reason="not_json"}[5m]) > 0',
        'sum(increase(collector_events_total{outcome="duplicate"}[5m])) > 0',
        'increase(collector_dead_letters_total{reason="unknown_format", source="facebook"}[5m]) > 0',
        "max(floodgate:events_failed:ratio5m) > 0.05",
    ):
        await scraped(prometheus, condition)


async def test_only_what_was_brought_about_fires(watched: tuple[Stack, PrometheusServer]) -> None:
    _, prometheus = watched
    await scraped(prometheus, 'ALERTS{alertname="DeadLetters", alertstate="firing"}')
    assert await asyncio.to_thread(prometheus.firing) <= {"DeadLetters", "ErrorRate"}


async def test_the_linter_of_prometheus_has_nothing_to_say_of_a_real_scrape(
    watched: tuple[Stack, PrometheusServer],
) -> None:
    running, _ = watched
    assert PROMTOOL is not None
    for base in (running.url, *(one["ops_url"] for one in running.status["collectors"])):
        async with aiohttp.ClientSession() as session, session.get(f"{base}/metrics") as answer:
            page = await answer.read()
        linted = await asyncio.to_thread(
            subprocess.run, [PROMTOOL, "check", "metrics"], input=page, capture_output=True, check=False
        )
        lines = (linted.stdout + linted.stderr).decode().splitlines()
        assert [line for line in lines if line and line not in KNOWN_TO_THE_LINTER] == []
