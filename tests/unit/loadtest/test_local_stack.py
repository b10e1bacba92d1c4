"""The throw-away stack, played by a small program that is started and stopped in its place."""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.errors import CannotRun
from loadtest.local_stack import is_local, something_listens, throwaway_stack

DEADLINE_S = 30

# Ready at once; notes what it was given and how it was ended.
READY = """
import http.server, os, pathlib, signal, sys
note = pathlib.Path(sys.argv[1])
data = pathlib.Path(os.environ["DATA_DIR"])
data.mkdir()
given = [name for name in ("NATS_URL", "DATABASE_URL", "KEPT") if name in os.environ]
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
def stopped(*_):
    note.write_text(f"{data}|{','.join(given)}|stopped in order")
    sys.exit(0)
signal.signal(signal.SIGTERM, stopped)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ready).serve_forever()
"""


def _stack(session: Any, code: str, *arguments: str, env: dict[str, str] | None = None, **changed: Any) -> Any:
    options = {"say": lambda _: None, "stop": asyncio.Event(), **changed}
    command = (sys.executable, "-c", code, *arguments)
    return throwaway_stack(session=session, env=env or {}, command=command, **options)


async def test_a_stack_is_ready_inside_and_gone_after(session: Any, tmp_path: Path) -> None:
    note = tmp_path / "note"
    said: list[str] = []
    env = {"NATS_URL": "nats://elsewhere", "DATABASE_URL": "postgresql://elsewhere", "KEPT": "1"}
    async with asyncio.timeout(DEADLINE_S):
        async with _stack(session, READY, str(note), env=env, say=said.append) as url:
            assert await something_listens(url)
        data, given, ended = note.read_text().split("|")
        assert not await something_listens(url)
    assert ended == "stopped in order"
    # The user's own servers are not for a throw-away run.
    assert given == "KEPT"
    assert not Path(data).parent.exists()
    assert url in said[0]


async def test_a_stack_is_stopped_when_the_run_fails(session: Any, tmp_path: Path) -> None:
    note = tmp_path / "note"
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(DEADLINE_S), _stack(session, READY, str(note)):
            raise ZeroDivisionError
    assert note.read_text().endswith("stopped in order")


async def test_a_stack_that_ends_at_its_start_shows_the_end_of_its_log(session: Any) -> None:
    code = "import sys; print('port 4222 is taken'); sys.exit(2)"
    with pytest.raises(CannotRun, match=r"(?s)ended with 2 at its start.*port 4222 is taken"):
        async with asyncio.timeout(DEADLINE_S), _stack(session, code):
            pytest.fail("it never was ready")


async def test_a_stop_during_the_start_ends_the_wait(session: Any) -> None:
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(CannotRun, match="stopped before"):
        async with asyncio.timeout(DEADLINE_S), _stack(session, "import signal; signal.pause()", stop=stop):
            pytest.fail("it never was ready")


async def test_a_closed_port_does_not_listen() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert not await something_listens(f"http://127.0.0.1:{closed.getsockname()[1]}")


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://127.0.0.1:3000", True), ("http://localhost", True), ("http://[::1]:1", True),
     ("https://staging.example:3000", False), ("http://10.0.0.1:3000", False)],
)  # fmt: skip
def test_only_this_machine_is_local(url: str, local: bool) -> None:
    assert is_local(url) is local
