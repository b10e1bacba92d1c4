"""`python -m gateway` as an operator starts it: it refuses to stand open, and makes the credentials of senders."""

import asyncio
import os
import re
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from gateway import senders
from gateway.scopes import Scope
from gateway.senders import key_digest, key_hash
from shared.events import SOURCES
from tests.integration.gateway.conftest import STREAM_BYTES, WAIT_S, delete_streams, eventually
from tests.integration.gateway.events import facebook, text
from tests.servers import free_port

ROOT = Path(__file__).parents[3]
ACME = f'[senders.acme]\nscopes = ["ingest", "read"]\nkey_hashes = ["{key_hash("fgk_acme")}"]\n'


@asynccontextmanager
async def _gateway(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments, cwd=ROOT, env=inherited | environment, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), WAIT_S)


async def _ended(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
    async with _gateway(*arguments, **environment) as process:
        out, err = await asyncio.wait_for(process.communicate(), WAIT_S)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HOST": "0.0.0.0"}, "HOST=0.0.0.0 can be reached from other machines, and there are no senders"),
        ({"AUTH": "open", "SENDERS": ACME}, "AUTH=open lets anyone in, and SENDERS says who may: unset one"),
        ({"SENDERS": "[senders.a]\nkey_hashes = ['fgk_marker']"}, "SENDERS: a: key_hashes: 0: String should match"),
        ({"SENDERS_FILE": "/no/such/file"}, "SENDERS_FILE='/no/such/file': the file can't be read"),
        ({"GATEWAY_WORKERS": "2", "INTERNAL_PORT": "0"}, "GATEWAY_WORKERS=2 need an INTERNAL_PORT to share"),
    ],
)
async def test_it_does_not_start_where_it_could_not_tell_who_may_come_in(
    environment: dict[str, str], words: str
) -> None:
    status, out, err = await _ended(**environment)
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith("gateway: ")
    assert words in line
    assert "marker" not in line


async def test_workers_share_the_internal_port_and_the_senders_of_a_file(nats_url: str, tmp_path: Path) -> None:
    (tmp_path / "senders.toml").write_text(ACME)
    port, internal, prefix = free_port(), free_port(), f"T{uuid.uuid4().hex[:12].upper()}_"
    environment = {
        "HOST": "0.0.0.0", "PORT": str(port), "INTERNAL_PORT": str(internal), "GATEWAY_WORKERS": "2",
        "SENDERS_FILE": str(tmp_path / "senders.toml"), "NATS_URL": nats_url, "STREAM_PREFIX": prefix,
        "STREAM_MAX_BYTES": str(STREAM_BYTES), "LOG_LEVEL": "error",
    }  # fmt: skip
    async with _gateway(**environment) as process:
        await eventually(lambda: _listening(process) == [{port, internal}] * 2)
        statuses = set()
        for _ in range(16):  # a new connection each, which the kernel gives to either
            assert (await _asked("GET", f"http://127.0.0.1:{internal}/metrics"))[0] == 200
            assert (await _asked("GET", f"http://127.0.0.1:{port}/metrics"))[0] == 404
            assert (await _asked("POST", f"http://127.0.0.1:{port}/webhook/events", {}))[0] == 401
            with_key = {"x-api-key": "fgk_acme"}
            statuses.add((await _asked("POST", f"http://127.0.0.1:{port}/webhook/events", with_key))[0])
        assert statuses <= {200, 503}  # 503 until it is connected
        await eventually(lambda: _is_taken(f"http://127.0.0.1:{port}/webhook/events"))
    assert process.returncode == 0
    await delete_streams(nats_url, prefix)


def _listening(process: Process) -> list[set[int]]:
    """The ports of each worker that has any."""
    ports = [
        {one.laddr.port for one in worker.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
        for worker in psutil.Process(process.pid).children()
    ]
    return [found for found in ports if found]


async def _asked(method: str, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method,
            url,
            data=text(facebook()) if method == "POST" else None,
            headers={"Content-Type": "application/json"} | dict(headers or {}),
        ) as answer,
    ):
        return answer.status, await answer.text()


async def _is_taken(url: str) -> bool:
    return (await _asked("POST", url, {"x-api-key": "fgk_acme"}))[0] == 200


async def test_keys_new_prints_a_key_once_and_an_entry_that_lets_it_in() -> None:
    status, out, err = await _ended(
        "keys", "new", "--name", "acme", "--source", "facebook", "--scope", "ingest", "--scope", "read"
    )
    assert (status, err) == (0, "")
    [key] = re.findall(r"^fgk_[A-Za-z0-9_-]{43}$", out, re.MULTILINE)
    assert out.count(key) == 1
    entry = out[out.index("[senders.acme]") :]
    assert key not in entry
    loaded = senders.load(entry, SOURCES, {})
    sender = loaded.by_key[key_digest(key)]
    assert (sender.name, sender.sources) == ("acme", frozenset({"facebook"}))
    assert sender.scopes == {Scope.INGEST, Scope.READ}


async def test_keys_new_makes_the_secret_of_a_sender_that_signs() -> None:
    status, out, _ = await _ended(
        "keys", "new", "--name", "my-hooks", "--source", "*", "--signature", "standard-webhooks"
    )
    assert status == 0
    [secret] = re.findall(r"^whsec_[A-Za-z0-9+/=]{44}$", out, re.MULTILINE)
    entry = out[out.index("[senders.my-hooks]") :]
    assert secret not in entry
    assert len(senders.load(entry, SOURCES, {"MY_HOOKS_SECRET": secret}).by_name["my-hooks"].secrets[0]) == 32
    assert "?sender=my-hooks" in out


async def test_the_secret_of_an_app_is_its_platforms() -> None:
    status, out, _ = await _ended("keys", "new", "--name", "app", "--source", "*", "--signature", "meta")
    assert status == 0
    assert "whsec_" not in out
    assert "APP_SECRET" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--name", "Acme Ltd", "--source", "*"), "'Acme Ltd': takes a-z, 0-9, - and _"),
        (("--name", "a", "--source", "*", "--scope", "read", "--signature", "meta"), "can only ingest"),
    ],
)
async def test_a_wrong_name_or_right_makes_no_key(arguments: tuple[str, ...], words: str) -> None:
    status, out, err = await _ended("keys", "new", *arguments)
    assert status in {1, 2}
    assert words in err
    assert "fgk_" not in out + err
