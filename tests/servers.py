"""Throw-away servers: real nats-server and PostgreSQL on free ports, in folders of their own.

They come from the adapters that `make run` uses. A test may stop, kill, pause and restart the ones it has made; the
port and the data stay the same over a restart. They die with this process, however that ends.

Everything blocks, so that it works in fixtures of any scope. An async test whose own clients have to go on
meanwhile calls it with `asyncio.to_thread`.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Self

import psutil

from deploy.local import nats, ports, postgres
from deploy.local.identity import launch

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
POLL_S = 0.02
START_ATTEMPTS = 5
LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000
"""Below the ports that systems give to outgoing connections: one of those could take it during a restart."""


def free_port() -> int:
    """A loopback port that nobody listens on now, and that this process was not given a short time ago."""
    for port in islice(_ports_in_turn(), HIGHEST_PORT - LOWEST_PORT):
        if ports.is_free(port):
            return port
    raise RuntimeError(f"no free port from {LOWEST_PORT} to {HIGHEST_PORT}")


@cache
def _ports_in_turn() -> Iterator[int]:
    """Of the part that is this process's own among the workers of pytest-xdist, from anywhere in it."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(LOWEST_PORT + worker, HIGHEST_PORT, workers)
    first = random.randrange(len(mine))
    return cycle([*mine[first:], *mine[:first]])


class Server(ABC):
    """One process on a port, with a log. `NatsServer` and `PostgresServer` say which."""

    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path | None = None) -> None:
        self._own_folder = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="floodgate-test-")) if folder is None else folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, f"{type(self).__name__} is not running"
        return self._process.pid

    def start(self) -> Self:
        """Start, and return when clients are served. On the first start another port is tried if one is taken."""
        first = self.port == 0
        for attempt in range(1, START_ATTEMPTS + 1):
            if first:
                self._choose_ports()
            if self._try_to_start():
                return self
            if not first or attempt == START_ATTEMPTS:
                break
        raise RuntimeError(f"{type(self).__name__} did not start: {self.log_text()[-2000:]}")

    def stop(self) -> None:
        """Stop in order; killed where that takes longer than `STOP_TIMEOUT_S`. No error where it does not run."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """SIGKILL to the server and all its workers, as a machine that loses it would see."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop all its processes where they are: connections stay open, nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """The opposite of `pause`."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """Stop, and remove the folder where it is ours."""
        self.resume()
        self.stop()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log_text(self) -> str:
        """What the server has said."""
        with contextlib.suppress(FileNotFoundError):
            return self._log.read_text(encoding="utf-8", errors="replace")
        return ""

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _choose_ports(self) -> None:
        self.port = free_port()

    @abstractmethod
    def _command(self) -> tuple[str, ...]:
        """What starts it."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether clients are served."""

    def _try_to_start(self) -> bool:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if (
            wait_until(lambda: self._has_ended() or self._is_ready(), within_s=START_TIMEOUT_S)
            and not self._has_ended()
        ):
            return True
        self.kill()
        return False

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        family = self._family()
        if number == signal.SIGKILL:
            self._signal_all(number)
        else:
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._signal_all(signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)
        # A worker that is left would keep the next start from the data.
        assert wait_until(lambda: not any(map(_runs, family)), within_s=STOP_TIMEOUT_S), f"{family} did not end"
        self._process = None

    def _family(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        try:
            server = psutil.Process(self._process.pid)
            return [server, *server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


class NatsServer(Server):
    """A nats-server with JetStream, which syncs before it acknowledges."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.monitor_port = 0

    @property
    def url(self) -> str:
        """For clients."""
        return self._nats.url

    @property
    def monitor_url(self) -> str:
        """Of the server's own HTTP endpoints."""
        return self._nats.monitor_url

    @property
    def _nats(self) -> nats.Nats:
        return nats.Nats(folder=self.folder / "nats", port=self.port, monitor_port=self.monitor_port)

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self.monitor_port = free_port()

    def _command(self) -> tuple[str, ...]:
        return launch(self._nats.prepare(), death_signal=signal.SIGKILL)

    def _is_ready(self) -> bool:
        return _answer(self._nats.is_ready)


class PostgresServer(Server):
    """A PostgreSQL with the product's role, which may make databases, and its empty database."""

    stop_signal = signal.SIGINT
    SETTINGS: Mapping[str, str] = {"shared_buffers": "64MB", "max_wal_size": "1GB", "min_wal_size": "80MB"}
    """Small enough for several of them beside a stack; what makes it durable is as in `make run`."""

    @property
    def url(self) -> str:
        """The DSN of the product's database."""
        return self._postgres.dsn

    def url_of(self, database: str) -> str:
        """The DSN of another database of this server."""
        return self.url.rpartition("/")[0] + "/" + database

    @property
    def _postgres(self) -> postgres.Postgres:
        return postgres.Postgres(folder=self.folder / "postgres", port=self.port)

    def _command(self) -> tuple[str, ...]:
        return self._postgres.prepare(settings=self.SETTINGS)

    def _is_ready(self) -> bool:
        return _answer(self._postgres.is_ready)


def _runs(process: psutil.Process) -> bool:
    """Whether it does anything still: one that only waits for its parent to take note does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _answer(probe: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
    """What the probe says, asked from a thread: the test that started the server may be inside a loop of its own."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(probe())).result()


def wait_until(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Whether the condition became true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
