"""The supervisor, over real but tiny children."""

import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from deploy.local.child import Child, ChildCannotStartError, ChildSpec, RestartPolicy
from deploy.local.console import Console
from deploy.local.errors import StackError
from deploy.local.supervisor import StopRequestedError, Supervisor

QUICK = RestartPolicy(first_delay_s=0.01, longest_delay_s=0.05, steady_after_s=30, deaths_before_giving_up=3)
DEADLINE_S = 15
READY_THEN_WAIT = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).touch(); signal.pause()"
LOGS_ITS_STOP = """
import pathlib, signal, sys
def stop(*_):
    with open(sys.argv[2], "a") as log:
        log.write(sys.argv[3] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""
IGNORES_SIGTERM = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""


class Stage:
    """A supervisor, what it printed, and children that are ready once they have made their file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = io.StringIO()
        self.console = Console(out=self.printed, colour=False)
        self.changes = 0
        self.supervisor = Supervisor(console=self.console, policy=QUICK, on_change=self._count)

    def spec(self, name: str, code: str, *arguments: str, grace_s: float = 5, ready: bool = True) -> ChildSpec:
        file = self.folder / f"{name}.ready"

        async def is_ready() -> bool:
            return file.exists()

        probe: Callable[[], Awaitable[bool]] | None = is_ready if ready else None
        argv = (sys.executable, "-I", "-S", "-c", code, str(file), *arguments)
        return ChildSpec(name=name, argv=argv, environment=os.environ, is_ready=probe, grace_s=grace_s)

    def start(self, name: str, code: str, *arguments: str, grace_s: float = 5, ready: bool = True) -> Child:
        return self.supervisor.start(self.spec(name, code, *arguments, grace_s=grace_s, ready=ready))

    async def started(self, name: str, code: str, *arguments: str, grace_s: float = 5) -> Child:
        child = self.start(name, code, *arguments, grace_s=grace_s)
        await self.supervisor.wait_ready([child], within_s=DEADLINE_S)
        return child

    def output(self) -> str:
        self.console.close()
        return self.printed.getvalue()

    def _count(self) -> None:
        self.changes += 1


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    await stage.supervisor.stop([])
    stage.console.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the condition is about other processes
            await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_that_dies_is_started_again_and_its_new_process_is_made_known(stage: Stage) -> None:
    child = await stage.started("phoenix", READY_THEN_WAIT)
    first, changes = child.pid, stage.changes
    assert first is not None

    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.pid not in {None, first})

    assert stage.changes >= changes + 2  # gone, and there again
    assert "phoenix ended by SIGKILL" in stage.output()


async def test_a_child_that_was_ready_once_is_never_given_up(stage: Stage) -> None:
    child = await stage.started("flaky", "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); input()")
    await until(lambda: child.restarts > QUICK.deaths_before_giving_up + 1)


async def test_a_crash_loop_before_the_first_ready_ends_the_run_with_the_childs_last_line(stage: Stage) -> None:
    stage.start("broken", "print('no such table: gate'); raise SystemExit(7)")

    with pytest.raises(ChildCannotStartError, match="exit code 7, 3 times in a row and said: no such table: gate"):
        await asyncio.wait_for(stage.supervisor.watch(), DEADLINE_S)


async def test_a_wrong_setting_is_not_tried_again(stage: Stage) -> None:
    child = stage.start("misled", "print('PORT is wrong'); raise SystemExit(2)")

    with pytest.raises(ChildCannotStartError, match="exit code 2 and said: PORT is wrong"):
        await asyncio.wait_for(stage.supervisor.watch(), DEADLINE_S)
    assert child.restarts == 0


async def test_an_executable_that_is_not_there_ends_the_run(stage: Stage) -> None:
    stage.supervisor.start(ChildSpec(name="ghost", argv=("/nowhere/ghost",), environment={}))

    with pytest.raises(ChildCannotStartError, match="ghost cannot start: /nowhere/ghost: No such file"):
        await asyncio.wait_for(stage.supervisor.watch(), DEADLINE_S)


def test_the_pause_doubles_with_each_death_up_to_the_longest() -> None:
    policy = RestartPolicy(first_delay_s=0.5, longest_delay_s=3)
    assert [policy.delay_s(deaths) for deaths in (1, 2, 3, 4, 5000)] == [0.5, 1, 2, 3, 3]


async def test_deaths_after_a_long_life_do_not_add_up(stage: Stage) -> None:
    patient = RestartPolicy(first_delay_s=0.01, steady_after_s=0, deaths_before_giving_up=2)  # any life is long
    supervisor = Supervisor(console=stage.console, policy=patient)
    child = supervisor.start(stage.spec("mayfly", "raise SystemExit(1)"))
    await until(lambda: child.restarts > 4)
    await supervisor.stop([])


async def test_groups_stop_one_after_the_other(stage: Stage) -> None:
    log = stage.folder / "log"
    slow = LOGS_ITS_STOP.replace("def stop(*_):", "import time\ndef stop(*_):\n    time.sleep(0.2)")
    first = await stage.started("first", slow, str(log), "first")
    second = [await stage.started(name, LOGS_ITS_STOP, str(log), name) for name in ("second", "too")]
    await stage.started("unnamed", LOGS_ITS_STOP, str(log), "unnamed")

    await stage.supervisor.stop([[first], second])

    stopped = log.read_text().split()
    assert stopped[0] == "first"
    assert set(stopped[1:3]) == {"second", "too"}
    assert stopped[3:] == ["unnamed"]


async def test_a_child_that_ignores_the_signal_is_killed_after_its_grace(stage: Stage) -> None:
    stubborn = await stage.started("stubborn", IGNORES_SIGTERM, grace_s=0.1)
    pid = stubborn.pid
    assert pid is not None

    await stage.supervisor.stop([[stubborn]])

    assert not runs(pid)
    assert "stubborn did not stop in time and was killed" in stage.output()


async def test_a_second_request_does_not_wait_for_the_grace(stage: Stage) -> None:
    stubborn = await stage.started("stubborn", IGNORES_SIGTERM, grace_s=600)
    stage.supervisor.request_stop("Ctrl-C")
    stopping = asyncio.create_task(stage.supervisor.stop([[stubborn]]))
    started_s = time.monotonic()

    stage.supervisor.request_stop("Ctrl-C")
    await asyncio.wait_for(stopping, DEADLINE_S)

    assert time.monotonic() - started_s < DEADLINE_S
    assert "Ctrl-C again: not waiting any longer" in stage.output()


async def test_a_stop_during_the_pause_before_a_restart_does_not_wait_for_it(stage: Stage) -> None:
    supervisor = Supervisor(console=stage.console, policy=RestartPolicy(first_delay_s=600, longest_delay_s=600))
    child = supervisor.start(stage.spec("resting", "pass"))
    await until(lambda: "starting it again" in stage.printed.getvalue())

    await asyncio.wait_for(supervisor.stop([[child]]), DEADLINE_S)


async def test_what_is_awaited_is_cancelled_when_a_stop_is_requested(stage: Stage) -> None:
    cancelled = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(stage.supervisor.unless_stopped(endless()))
    await asyncio.sleep(0)
    stage.supervisor.request_stop("SIGTERM")

    with pytest.raises(StopRequestedError):
        await asyncio.wait_for(waiting, DEADLINE_S)
    assert cancelled.is_set()


async def test_the_workers_of_a_killed_child_do_not_stay_behind(stage: Stage) -> None:
    file = stage.folder / "worker"
    code = (
        "import os, pathlib, signal, subprocess, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "pathlib.Path(sys.argv[2]).write_text(str(worker.pid))\npathlib.Path(sys.argv[1]).touch()\nsignal.pause()"
    )
    parent = await stage.started("parent", code, str(file), grace_s=0.1)

    await stage.supervisor.stop([[parent]])

    state = Path(f"/proc/{file.read_text()}/stat")
    await until(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z")


async def test_a_child_that_died_is_started_again_although_a_worker_of_it_holds_the_pipe(stage: Stage) -> None:
    code = (
        "import pathlib, subprocess, sys, signal\n"
        "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "pathlib.Path(sys.argv[1]).touch()\nsignal.pause()"
    )
    child = await stage.started("parent", code)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: child.restarts == 1)


async def test_programs_that_run_to_their_end_fail_with_their_last_line_and_take_the_others_along(stage: Stage) -> None:
    endless = stage.spec("endless", READY_THEN_WAIT, ready=False)
    failing = stage.spec(
        "failing",
        "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)\n"
        "print('first'); print('last'); sys.exit(1)",
        str(stage.folder / "endless.ready"),
        ready=False,
    )

    with pytest.raises(StackError, match="failing ended with exit code 1 and said: last"):
        await asyncio.wait_for(stage.supervisor.run_to_end(endless, failing), DEADLINE_S)


async def test_a_child_that_is_never_ready_is_named_with_its_last_line(stage: Stage) -> None:
    child = stage.start("late", "print('waiting for the moon', flush=True); import signal; signal.pause()")
    await until(lambda: "waiting" in stage.printed.getvalue())

    with pytest.raises(StackError, match="late last said: waiting for the moon"):
        await stage.supervisor.wait_ready([child], within_s=0.01)


async def test_a_line_without_an_end_is_passed_on_in_pieces(stage: Stage) -> None:
    code = "import sys; sys.stdout.write('x' * 1_000_000); sys.stdout.flush(); " + READY_THEN_WAIT
    await stage.started("talker", code)
    await until(lambda: stage.printed.getvalue().count("talker") > 5)


def test_names_are_coloured_on_a_terminal_alone() -> None:
    for colour in (True, False):
        out = io.StringIO()
        console = Console(out=out, colour=colour)
        console.child("gateway", "hello")
        console.close()
        assert ("\x1b[" in out.getvalue()) is colour
        assert out.getvalue().endswith("| hello\n")


def test_a_terminal_that_is_gone_is_no_error() -> None:
    out = io.StringIO()
    console = Console(out=out)
    out.close()
    console.say("into the void")
    console.close()
