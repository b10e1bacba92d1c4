"""Several gateway processes on one port: the kernel shares the connections out (SO_REUSEPORT).

Invariant: to the outside they are one gateway. Any of them answers for all on /metrics, the signal to stop
reaches each, and one that dies is replaced; one that can't start ends them all, with its exit status.

Metrics add up by prometheus-client's multiprocess mode: each process writes its values to files of a
folder, and whoever is asked adds them up. It takes a folder in the environment before the library is
imported, which is why workers are processes started anew, and not forks.
"""

import asyncio
import os
import signal
import sys
import tempfile
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from shared.errors import Fatal
from shared.lifecycle import Shutdown
from shared.logs import Logger
from shared.metrics import MULTIPROCESS_FOLDER

WORKER: Final = "FLOODGATE_WORKER"
"""Set in a worker's environment: it serves, and starts no workers of its own."""

GOOD_START_S: Final = 5.0
"""A worker that ends by itself within this time can't start; one that ends later is replaced."""


async def run_workers(count: int, *, shutdown: Shutdown, log: Logger) -> None:
    """Keep `count` workers running until asked to stop. Raises Fatal where one can't start."""
    with tempfile.TemporaryDirectory(prefix="floodgate-metrics-") as folder:
        environment = {**os.environ, WORKER: "1", MULTIPROCESS_FOLDER: folder}
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(_keep_one(environment, shutdown, log))


async def _keep_one(environment: dict[str, str], shutdown: Shutdown, log: Logger) -> None:
    while not shutdown.soft.is_set():
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        # A session of its own: a terminal's Ctrl-C reaches the parent, which then stops its workers in order.
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", env=environment, start_new_session=True, stdin=asyncio.subprocess.PIPE
        )
        stopping = asyncio.create_task(_stop_on_request(worker, shutdown))
        try:
            status = await worker.wait()
        finally:
            stopping.cancel()
            if worker.returncode is None:
                worker.kill()
        # its gauges no longer count
        mark_process_dead(worker.pid, environment[MULTIPROCESS_FOLDER])  # type: ignore[no-untyped-call]  # untyped there
        if shutdown.soft.is_set():
            return
        if loop.time() - started_at < GOOD_START_S:
            raise Fatal(f"a worker ended with status {status} when it had just started")
        log.warning("worker_replaced", pid=worker.pid, status=status)


async def _stop_on_request(worker: asyncio.subprocess.Process, shutdown: Shutdown) -> None:
    for asked in (shutdown.soft, shutdown.hard):
        await asked.wait()
        if worker.returncode is None:
            worker.send_signal(signal.SIGTERM)


def stop_with_parent(shutdown: Shutdown) -> None:
    """In a worker: stop when the parent is gone, however it went. It holds the other end of standard input."""
    loop = asyncio.get_running_loop()

    def parent_gone() -> None:
        loop.remove_reader(sys.stdin)
        shutdown.soft.set()

    loop.add_reader(sys.stdin, parent_gone)
