"""What the gateway does is what its OpenAPI document says; and the pages that show it."""

import asyncio
import gzip
import os
import sys
from html import escape
from pathlib import Path

import pytest

from collectors.migrate import migrate
from collectors.settings import DatabaseSettings
from gateway.api.pages import FILES, SECURITY_HEADERS
from gateway.problem_types import PROBLEM_TYPES
from shared.events import SOURCES
from tests.integration.gateway.conftest import Running, Start

ROOT = Path(__file__).resolve().parents[3]
MAX_EVENTS = 8
"""So few that the request with one too many, which the description brings about, is quickly made."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
SCHEMATHESIS_S = 60
PAGES = ["/openapi.json", "/docs", "/docs/problems", *(f"/docs/{name}" for name in FILES)]


async def test_every_answer_is_as_described_whatever_is_sent(start: Start, database_url: str, tmp_path: Path) -> None:
    """Requests made from the document, right and wrong, and each answer held against it."""
    await migrate(DatabaseSettings(url=database_url), SOURCES)
    gateway = await start(database_url=database_url, max_bulk_events=MAX_EVENTS)
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{gateway.url}/openapi.json", "--checks", ",".join(CHECKS)),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--generation-deterministic"),
        *("--no-color", "--warnings", "off", "--suppress-health-check", "all"),
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.integration.gateway.ndjson", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,  # it keeps what it found in a folder of its own, and would begin with it the next time
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(run.communicate(), SCHEMATHESIS_S)
    finally:
        if run.returncode is None:
            run.kill()
            await run.wait()
    assert run.returncode == 0, said.decode()
    # It has seen the gateway at work, and not only at refusing.
    sample = gateway.gateway._metrics.registry.get_sample_value
    for route in ("/webhook/events", "/webhook/events/bulk"):
        for status in ("200", "400", "415", "422"):
            assert sample("gateway_requests_total", {"route": route, "status": status}), (route, status)
    assert sample("gateway_requests_total", {"route": "/webhook/events/bulk", "status": "413"})


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_comes_plain_or_compressed_and_not_twice(gateway: Running, path: str) -> None:
    plain = await gateway.request("GET", path, headers={"Accept-Encoding": "deflate, gzip;q=0"})
    packed = await gateway.request("GET", path, headers={"Accept-Encoding": "gzip, br"})
    assert (plain.status, packed.status) == (200, 200)
    assert plain.body
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    again = await gateway.request("GET", path, headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    other = await gateway.request("GET", path, headers={"If-None-Match": '"another"'})
    assert other.status == 200
    for answer in (plain, packed, again):
        assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["ETag"] == plain.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/nothing",
        "/docs/index.html",
        "/docs/hashes.txt",
        "/docs/..%2Fdocs%2Fstart.js",
        "/docs/..%2F..%2Fapp.py",
    ],
)
async def test_nothing_but_the_named_files_is_served(gateway: Running, path: str) -> None:
    assert (await gateway.get(path)).status == 404


async def test_the_page_of_a_problem_is_where_its_type_leads(gateway: Running) -> None:
    refused = (await gateway.post(b"{", path="/webhook/events")).json
    assert (refused["status"], refused["type"]) == (400, "/docs/problems#not-json")
    page = gzip.decompress((await gateway.get(refused["type"])).body).decode()
    for kind in PROBLEM_TYPES.values():
        assert f'<h2 id="{kind.name}">{escape(kind.title)}</h2>' in page


async def test_a_problem_whose_status_says_it_all_has_no_type(gateway: Running) -> None:
    answer = (await gateway.get("/nothing")).json
    assert (answer["type"], answer["title"]) == ("about:blank", "Not Found")
