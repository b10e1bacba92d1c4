"""The stack as `make run` starts it, with real servers and stand-ins for the product's programs."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from deploy.local import ports, status
from deploy.local.data_dir import DataDir
from deploy.local.errors import StackError
from shared.events import SOURCES
from tests.servers import NatsServer, PostgresServer, free_port, wait_until
from tests.terminal import Terminal

ROOT = Path(__file__).parents[3]
START = (sys.executable, str(Path(__file__).with_name("stand_in_stack.py")))
READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 30.0


class Run:
    """One `make run`, as a process."""

    def __init__(self, folder: Path, data_dir: Path, *, terminal: int | None = None, **environment: str) -> None:
        self.data_dir = Path(environment.get("DATA_DIR") or data_dir)
        self.log = folder / "programs.log"
        self.output = folder / "output"
        self.port = int(environment.get("PORT") or free_port())
        inherited = {name: value for name, value in os.environ.items() if name not in {"NATS_URL", "DATABASE_URL"}}
        own = {"DATA_DIR": str(self.data_dir), "PORT": str(self.port), "STAND_IN_LOG": str(self.log)}
        self.environment = {**inherited, "PYTHONPATH": str(ROOT), **own, **environment}
        with self.output.open("wb") as file:
            out = file if terminal is None else terminal
            self.process = subprocess.Popen(
                START, cwd=ROOT, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )

    def ready(self) -> dict[str, Any]:
        """Wait until it is ready; its status."""
        ended_or_ready = wait_until(
            lambda: self.process.poll() is not None or self._is_ready(), within_s=READY_WITHIN_S
        )
        assert ended_or_ready, self.said()
        assert self.process.poll() is None, self.said()
        return self.status()

    def status(self) -> dict[str, Any]:
        return status.read(DataDir.state_file_of(self.data_dir))

    def ends(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(STOPPED_WITHIN_S)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ends()

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def notes(self) -> list[dict[str, Any]]:
        """What the stand-ins wrote down, in order."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def pids(self) -> list[int]:
        shown = self.status()
        parts = [shown["gateway"], shown["nats"], shown["postgres"], *shown["collectors"]]
        return [part["pid"] for part in parts if part["pid"] is not None]

    def _is_ready(self) -> bool:
        try:
            return bool(self.status()["ready"])
        except StackError:
            return False


Start = Callable[..., Run]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests here, as for all days of a user: a new cluster a test would be most of their time."""
    return tmp_path_factory.mktemp("stack") / "data"


@pytest.fixture
def start(tmp_path: Path, data_dir: Path, usual_ports: None) -> Iterator[Start]:
    """Starts runs on the shared data folder, and ends those that are there when the test is over."""
    runs: list[Run] = []

    def make(*, terminal: int | None = None, **environment: str) -> Run:
        runs.append(Run(tmp_path, data_dir, terminal=terminal, **environment))
        return runs[-1]

    yield make
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(STOPPED_WITHIN_S)
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


def gone(pids: list[int]) -> bool:
    return all(not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids)


def last_line(run: Run) -> str:
    lines = run.said().splitlines()
    return next(line for line in reversed(lines) if line.startswith("floodgate: "))


def shows_all_up(terminal: Terminal) -> bool:
    """Whether the vital signs are there, and whole: each second there are none for a moment, to be drawn anew."""
    vital_signs = terminal.screen()[-1]
    return vital_signs.startswith("0 accepted/s") and "collectors 2/2" in vital_signs


def test_on_a_terminal_vital_signs_stand_below_the_log_and_are_gone_at_the_end(start: Start) -> None:
    with Terminal(columns=120) as terminal:
        run = start(terminal=terminal.device, TERM="xterm")
        assert wait_until(lambda: shows_all_up(terminal), within_s=READY_WITHIN_S)
        assert any(f"http://127.0.0.1:{run.port}/webhook" in line for line in terminal.screen())
        assert run.stop() == 0
        assert wait_until(lambda: any("the data stays in" in line for line in terminal.screen()), within_s=5)
        assert not any("accepted/s" in line for line in terminal.screen())


def test_with_senders_the_vital_signs_and_the_urls_are_of_the_internal_port(start: Start) -> None:
    with Terminal(columns=120) as terminal, socket.create_server(("127.0.0.1", free_port())) as taken:
        usual = taken.getsockname()[1]
        run = start(terminal=terminal.device, TERM="xterm", SENDERS="[senders.acme]", INTERNAL_PORT=str(usual))
        assert wait_until(lambda: shows_all_up(terminal), within_s=READY_WITHIN_S)
        shown = run.status()["gateway"]
        assert shown["url"] == f"http://127.0.0.1:{run.port}"
        internal = int(shown["internal_url"].rpartition(":")[2])
        assert internal not in {usual, run.port}
        lines = terminal.screen()
        assert any(line.split() == ["metrics", f"http://127.0.0.1:{internal}/metrics"] for line in lines)
        assert any(line.split() == ["console", f"http://127.0.0.1:{internal}/"] for line in lines)
        assert run.stop() == 0


def test_where_nobody_watches_there_are_no_vital_signs_and_no_colours(start: Start) -> None:
    run = start()
    run.ready()
    run.stop()
    assert "accepted/s" not in run.said()
    assert "\x1b" not in run.said()


def test_everything_starts_in_order_says_where_it_is_and_stops_in_order(start: Start) -> None:
    run = start()
    shown = run.ready()

    assert shown["gateway"]["url"] == f"http://127.0.0.1:{run.port}"
    assert [collector["source"] for collector in shown["collectors"]] == list(SOURCES)
    asked = subprocess.run(
        [sys.executable, "-m", "deploy.local", "status", "--json"],
        cwd=ROOT, env=run.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(asked.stdout) == shown
    for url in (shown["gateway"]["url"], shown["nats"]["monitor_url"], shown["postgres"]["dsn"]):
        assert url in run.said()
    started = [note["argv"][0] for note in run.notes()]
    assert set(started[:2]) == {"apply-streams", "migrate"}
    assert set(started[2:]) == {"gateway", "collector"}
    assert {note["PROVISION_ON_START"] for note in run.notes()} == {"false"}
    assert {note["NATS_URL"] for note in run.notes()} == {shown["nats"]["url"]}
    assert {note["DATABASE_URL"] for note in run.notes()} == {shown["postgres"]["dsn"]}

    pids = run.pids()
    assert run.stop() == 0, run.said()

    assert gone(pids)
    stopped = [note["argv"][0] for note in run.notes() if note["what"] == "stopped"]
    assert stopped == ["gateway", *["collector"] * len(SOURCES)]
    assert "killed" not in run.said()


async def test_a_restart_keeps_the_data(start: Start) -> None:
    first = start()
    connection = await asyncpg.connect(first.ready()["postgres"]["dsn"])
    await connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 7 AS value")
    await connection.close()
    assert first.stop(signal.SIGINT) == 0

    again = start()
    connection = await asyncpg.connect(again.ready()["postgres"]["dsn"])
    assert await connection.fetchval("SELECT value FROM kept") == 7
    await connection.close()
    assert again.stop() == 0


def test_a_part_that_dies_comes_back_and_status_tells_its_new_process(start: Start) -> None:
    run = start()
    before = run.ready()
    for part in ("gateway", "nats", "postgres"):
        os.kill(before[part]["pid"], signal.SIGKILL)

    def all_back() -> bool:
        now = run.status()
        return all(now[part]["pid"] not in {None, before[part]["pid"]} for part in ("gateway", "nats", "postgres"))

    assert wait_until(all_back, within_s=READY_WITHIN_S), run.said()
    assert wait_until(lambda: run.said().count("is ready again") == 3, within_s=READY_WITHIN_S), run.said()
    after = run.status()
    assert after["nats"]["url"] == before["nats"]["url"]
    assert after["postgres"]["dsn"] == before["postgres"]["dsn"]
    assert "gateway ended by SIGKILL" in run.said()


def test_a_taken_gateway_port_is_one_line_that_says_by_whom_and_what_to_do(start: Start) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        run = start(PORT=str(port))
        assert run.ends() == 1
    assert f"port {port} is taken by " in last_line(run)
    assert f"(pid {os.getpid()})" in last_line(run)
    assert "PORT=" in last_line(run)
    assert "Traceback" not in run.said()


def test_every_other_port_moves_when_taken_and_says_so(start: Start) -> None:
    usual = 9101
    with contextlib.ExitStack() as sockets:
        if ports.is_free(usual):
            sockets.enter_context(socket.create_server(("127.0.0.1", usual)))
        run = start()
        assert run.ready()["collectors"][0]["ops_url"] != f"http://127.0.0.1:{usual}"
    assert f"port {usual} is taken by " in run.said()


def test_a_second_run_on_the_same_folder_is_refused_and_the_first_goes_on(start: Start) -> None:
    first = start()
    before = first.ready()
    environment = {**first.environment, "PORT": str(free_port())}
    second = subprocess.run(START, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert f"is in use by a stack that runs already (pid {first.process.pid})" in second.stderr
    assert first.status() == before


def test_after_the_supervisor_was_killed_the_next_run_starts_cleanly(start: Start) -> None:
    killed = start()
    killed.ready()
    pids = killed.pids()
    killed.process.kill()
    killed.process.wait()

    again = start(PORT=str(killed.port))
    again.ready()

    assert gone(pids)
    assert again.stop() == 0


def test_leftovers_that_are_still_there_are_stopped_by_the_next_run(start: Start, data_dir: Path) -> None:
    """Where the kernel tells nobody of the supervisor's death, what it started is found by the state file."""
    opened = DataDir.open(data_dir)
    left = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    process = status.RunningProcess.of(name="gateway", pid=left.pid, stop_signal=signal.SIGTERM)
    assert process is not None
    innocent = status.RunningProcess(name="nats", pid=os.getpid(), created_s=1.0, stop_signal=signal.SIGKILL)
    status.write(opened.state_file, status={}, processes=[process, innocent])
    opened.close()

    run = start()
    assert left.wait(READY_WITHIN_S) == -signal.SIGTERM
    run.ready()
    assert "stopped what a run that was killed had left behind: gateway\n" in run.said()


@pytest.mark.parametrize("role", ["migrate", "apply-streams", "gateway"])
def test_a_program_that_cannot_start_ends_the_run_with_its_last_line(start: Start, role: str) -> None:
    run = start(STAND_IN_FAILS=role)
    assert run.ends() == 1
    assert f"{role} is out of order" in last_line(run)
    assert "Traceback" not in run.said()
    with pytest.raises(StackError, match="no stack runs on"):
        run.status()


def test_servers_from_the_environment_are_used_instead_of_own_ones(
    start: Start, tmp_path: Path, nats_server: NatsServer, postgres_server: PostgresServer
) -> None:
    run = start(DATA_DIR=str(tmp_path / "data"), NATS_URL=nats_server.url, DATABASE_URL=postgres_server.url)
    shown = run.ready()

    assert shown["nats"] == {"pid": None, "url": nats_server.url, "monitor_url": None}
    assert shown["postgres"] == {"pid": None, "dsn": postgres_server.url}
    assert not (run.data_dir / "nats").exists()
    assert not (run.data_dir / "postgres").exists()
    assert postgres_server.url not in run.said()  # somebody else's password is not for the terminal
    assert {note["DATABASE_URL"] for note in run.notes()} == {postgres_server.url}


def test_data_of_a_newer_version_is_one_line(start: Start, tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99\n")
    run = start(DATA_DIR=str(tmp_path))
    assert run.ends() == 1
    assert "was written by a newer Floodgate (format 99" in run.said()
    assert len(run.said().splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_one_line(start: Start, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    run = start(DATA_DIR=str(closed / "data"))
    assert run.ends() == 1
    assert "cannot be written (Permission denied)" in run.said()
    assert len(run.said().splitlines()) == 1


def test_status_of_a_folder_where_nothing_runs_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "deploy.local", "status"],
        cwd=ROOT, env={**os.environ, "DATA_DIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 1
    assert asked.stderr.startswith(f"floodgate: no stack runs on {tmp_path}: ")
    assert asked.stdout == ""
