"""The command as a person or a script starts it."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtest.__main__ import main
from loadtest.command import bulk_test
from loadtest.generator import Plan
from loadtest.options import BulkTestOptions, Targets

DEADLINE_S = 30


def _options(gateway: Any, **changed: Any) -> BulkTestOptions:
    plan = Plan(total=1000, batch=100, invalid_share=0.1, duplicates_share=0.1, seed=1)
    return BulkTestOptions(plan=plan, url=gateway.url, targets=Targets(min_rate_per_s=0), **changed)


@pytest.fixture
def refused_url() -> Any:
    """An address at which nothing listens, and nothing will while the test runs."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"


async def test_a_run_that_passes_prints_the_summary_and_exits_with_0(
    gateway: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await bulk_test(_options(gateway), {}) == 0
    out, err = capsys.readouterr()
    assert out.rstrip().splitlines()[-1].startswith("PASSED: 900 of 900 accepted")
    assert "duplicates" in out
    assert err == ""


async def test_a_report_is_written_beside_the_summary(
    gateway: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    assert await bulk_test(_options(gateway, report=file), {}) == 0
    out, err = capsys.readouterr()
    assert "PASSED" in out
    assert str(file) in err
    assert "<title>Floodgate bulk test</title>" in file.read_text(encoding="utf-8")


async def test_a_report_that_can_not_be_written_is_said_after_the_summary(
    gateway: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert await bulk_test(_options(gateway, report=tmp_path / "gone" / "report.html"), {}) == 2
    out, err = capsys.readouterr()
    assert "PASSED" in out
    assert "No such file or directory" in err


@pytest.mark.parametrize("file", [".", "no/such/folder/report.html"])
def test_a_report_that_could_not_be_written_is_refused_before_the_run(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bulk-test", "--report", file], {})
    assert ended.value.code == 2
    assert "--report" in capsys.readouterr().err


async def test_json_is_the_only_thing_on_stdout(gateway: Any, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.lose = 1
    assert await bulk_test(_options(gateway, json=True, wait_s=0), {}) == 1
    out, err = capsys.readouterr()
    content = orjson.loads(out)
    assert (content["outcome"], content["events"]["missing"]) == ("missed", 10)
    assert err == ""


async def test_signals_are_left_as_they_were(gateway: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    await bulk_test(_options(gateway), {})
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_gateway_that_is_not_there_exits_with_2_and_says_what_to_do(
    refused_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], env={"URL": refused_url}) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{refused_url}: cannot connect" in err
    assert "make run" in err


def test_with_json_machines_are_told_too(refused_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bulk-test", "--url", refused_url, "--json"], env={}) == 2
    content = orjson.loads(capsys.readouterr().out)
    assert (content["outcome"], content["exitCode"]) == ("cannot_run", 2)
    assert refused_url in content["error"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--invalid", "2"], "--invalid: '2': takes a number from 0 to 1"),
        (["--total", "0"], "--total: '0': takes a whole number from 1"),
        (["--batch", "x"], "--batch: 'x'"),
        (["--timeout", "0"], "--timeout: '0': takes a number over 0"),
        (["--wait", "inf"], "--wait: 'inf'"),
        (["--min-rate", "nan"], "--min-rate: 'nan'"),
        (["--sources", "facebook,myspace"], "takes one or more of facebook, tiktok"),
        (["--url", "localhost:3000"], "takes an address like http://127.0.0.1:3000"),
        (["--url", "http://x:99999"], "takes an address like"),
        (["--total", "10", "--invalid", "0.5", "--duplicates", "0.5"], "lower one of the shares"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_option_ends_in_one_line_and_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, env={})
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["bulk-test", "--help"]])
def test_help_shows_every_option(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, env={})
    out = capsys.readouterr().out
    assert ended.value.code == 0
    for option in ("--single-request", "--start-stack", "--duplicates", "--min-rate", "--json", "exit code"):
        assert option in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_program_with_the_summary_so_far(gateway: Any, number: int) -> None:
    gateway.script.extend([200, "hang", "hang"])
    arguments = ["--url", gateway.url, "--total", "1000", "--batch", "100", "--concurrency", "2", "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtest", *arguments, stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    async with asyncio.timeout(DEADLINE_S):
        while len(gateway.bodies) < 3:
            gateway.posted.clear()
            await gateway.posted.wait()
        process.send_signal(number)
        out, _ = await process.communicate()
    content = orjson.loads(out)
    assert process.returncode == 130
    assert (content["outcome"], content["events"]["sent"], content["events"]["stored"]) == ("interrupted", 300, 100)


async def test_an_api_key_goes_to_the_gateway_and_into_no_output(
    gateway: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await bulk_test(_options(gateway, api_key="fgk_marker"), {}) == 0
    assert await bulk_test(_options(gateway, api_key="fgk_marker", json=True), {}) == 0
    assert set(gateway.authorizations) == {"Bearer fgk_marker"}
    with pytest.raises(SystemExit):
        main(["--total", "0"], {"API_KEY": "fgk_marker"})
    with pytest.raises(SystemExit):
        main(["--api-key", "fgk marker"], {})
    with pytest.raises(SystemExit):
        main(["--help"], {"API_KEY": "fgk_marker"})
    assert "marker" not in "".join(capsys.readouterr())
    assert "marker" not in repr(_options(gateway, api_key="fgk_marker"))
