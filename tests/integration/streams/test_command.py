"""`python -m streams`, as an operator uses it."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from streams.connection import Connection
from streams.definitions import Definition
from streams.status import status
from streams.subjects import Names
from tests.integration.streams.conftest import SOURCE, configured
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.usefixtures("no_streams_left")


class Command:
    """Runs the program against the session's server, with this test's prefix."""

    def __init__(self, url: str, prefix: str) -> None:
        self.environment = {
            **os.environ,
            "NATS_URL": url,
            "STREAM_PREFIX": prefix,
            "STREAM_MAX_BYTES": str(16 * 1024**2),
        }

    async def __call__(self, *arguments: str, **environment: str) -> tuple[int | None, str, str]:
        """Its status, standard output and standard error."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams", *arguments,
            cwd=ROOT,
            env={**self.environment, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def streams_command(nats_url: str, names: Names) -> Command:
    return Command(nats_url, names.prefix)


async def test_apply_says_what_it_did_and_status_what_is_there(
    streams_command: Command, connection: Connection, names: Names
) -> None:
    code, out, err = await streams_command("apply", "--dry-run")
    assert (code, err) == (0, "")
    assert out.count("created") == 6
    assert not [
        info for info in await connection.jetstream.streams_info() if str(info.config.name).startswith(names.prefix)
    ]
    assert (await streams_command("apply"))[1] == out
    await connection.jetstream.publish(names.events(SOURCE), b"[]")
    code, out, err = await streams_command("status", "--json")
    assert (code, err) == (0, "")
    rows = {row.pop("stream"): row for row in json.loads(out)}
    assert set(rows) == {
        names.stream("facebook"),
        names.stream("tiktok"),
        names.dead_letters_stream,
        names.receipts_stream,
    }
    mine = rows[names.stream(SOURCE)]
    assert (mine["exists"], mine["messages"], mine["unstored"], mine["lastSeq"]) == (True, 1, 1, 1)
    assert mine["oldestUnstoredSeconds"] < 60
    assert "unstored" not in rows[names.dead_letters_stream]
    code, table, err = await streams_command("status")
    assert (code, err) == (0, "")
    assert table.splitlines()[0].split() == [
        "stream", "messages", "bytes", "unstored", "oldestUnstoredSeconds", "limitShare",
    ]  # fmt: skip
    assert table.splitlines()[1].split()[:2] == [names.stream(SOURCE), "1"]


async def test_unsafe_drift_is_a_line_and_status_1(
    streams_command: Command, connection: Connection, names: Names
) -> None:
    await streams_command("apply")
    for _ in range(3):
        await connection.jetstream.publish(names.events(SOURCE), b"[]")
    code, out, err = await streams_command("apply", STREAM_MAX_MESSAGES="2")
    assert (code, out) == (1, "")
    assert err.startswith(f"streams: stream {names.stream(SOURCE)} holds 3 msgs")
    assert err.count("\n") == 1


async def test_what_is_missing_does_not_keep_status_from_the_rest(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    await connection.jetstream.delete_consumer(names.stream(SOURCE), "collector")
    await connection.jetstream.delete_stream(names.receipts_stream)
    source, dead_letters, receipts = await status(connection, streams)
    assert (source["exists"], source["messages"], source["unstored"], source["limitShare"]) == (True, 0, None, None)
    assert dead_letters["exists"]
    assert receipts == {"stream": names.receipts_stream, "exists": False}


async def test_a_server_without_jetstream_is_a_line_and_status_1(tmp_path: Path, streams_command: Command) -> None:
    without = "accounts: {A: {users: [{user: app, password: hidden}]}}\nlame_duck_duration"
    with configured(tmp_path, "lame_duck_duration", without) as server:
        url = server.url.replace("//", "//app:hidden@")
        code, out, err = await streams_command("status", NATS_URL=url)
    assert (code, out) == (1, "")
    assert err.startswith("streams: NATS can't be asked for its streams now: ")
    assert err.count("\n") == 1
    assert "hidden" not in err


@pytest.mark.parametrize("command", ["apply", "status"])
async def test_nobody_at_nats_url_is_a_line_and_status_1(streams_command: Command, command: str) -> None:
    url = f"nats://app:hidden@127.0.0.1:{free_port()}"
    code, out, err = await streams_command(
        command, NATS_URL=url, NATS_MAX_RECONNECT_ATTEMPTS="2", NATS_RECONNECT_WAIT="1"
    )
    assert (code, out) == (1, "")
    assert err.startswith(f"streams: NATS at {url.replace('app:hidden@', '')} can't be reached: ")
    assert err.count("\n") == 1
    assert "hidden" not in err


async def test_a_wrong_setting_is_a_line_and_status_2(streams_command: Command) -> None:
    code, out, err = await streams_command("apply", NATS_URL="http://app:hidden@127.0.0.1")
    assert (code, out) == (2, "")
    assert err.startswith("streams: NATS_URL=***: takes nats://host:port")
    assert err.count("\n") == 1


async def test_help_is_there_without_any_server(streams_command: Command) -> None:
    code, out, _ = await streams_command("--help", NATS_URL="nats://127.0.0.1:1")
    assert code == 0
    assert "apply" in out
    assert "status" in out
