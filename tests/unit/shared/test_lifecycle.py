"""How programs stop and end, seen from outside: signals in, exit status and standard error out."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared import lifecycle
from shared.lifecycle import Shutdown, first_of, repeat

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("program.py")
TIMEOUT_S = 20.0


def start(story: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), story],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(program: "subprocess.Popen[str]") -> tuple[int, str, str]:
    with program:
        try:
            out, err = program.communicate(timeout=TIMEOUT_S)
        finally:
            program.kill()
    return program.returncode, out, err


def line(program: "subprocess.Popen[str]") -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_a_clean_end_is_status_0(number: signal.Signals) -> None:
    program = start("drains_then_ends")
    assert line(program) == "started"
    program.send_signal(number)
    assert end(program) == (0, "drained\n", "")


def test_the_second_signal_insists() -> None:
    program = start("stops_when_asked")
    assert line(program) == "started"
    program.send_signal(signal.SIGTERM)
    assert line(program) == "soft"
    program.send_signal(signal.SIGINT)
    assert end(program) == (0, "hard\n", "")


def test_the_end_of_the_grace_period_insists() -> None:
    program = start("insists_after_the_grace")
    assert line(program) == "started"
    program.send_signal(signal.SIGTERM)
    assert end(program) == (0, "hard\n", "")


@pytest.mark.parametrize(
    ("story", "status", "said"),
    [
        ("ends", 0, ""),
        ("fatal", 1, "story: the streams are gone: run `python -m streams apply`\n"),
        ("wrong_setting", 2, "story: PORT='x': takes a number\nstory: HOST='': takes text\n"),
        ("fatal_in_a_group", 1, "story: the first\nstory: the second\n"),
    ],
)
def test_what_a_person_must_mend_is_a_line_and_a_status_without_a_traceback(story: str, status: int, said: str) -> None:
    assert end(start(story)) == (status, "", said)


@pytest.mark.parametrize("story", ["bug", "bug_beside_fatal"])
def test_a_bug_shows_its_traceback(story: str) -> None:
    status, _, err = end(start(story))
    assert status == 1
    assert "ZeroDivisionError: a bug" in err
    assert "Traceback" in err


async def test_asking_twice_insists() -> None:
    shutdown = Shutdown()
    assert not shutdown.soft.is_set()
    shutdown.request()
    assert (shutdown.soft.is_set(), shutdown.hard.is_set()) == (True, False)
    shutdown.request()
    assert shutdown.hard.is_set()


async def test_waiting_to_insist_ends_at_once_where_somebody_insists() -> None:
    shutdown = Shutdown()
    shutdown.request()
    shutdown.request()
    async with asyncio.timeout(5):
        await shutdown.insist_after(3600)


async def test_the_first_to_end_ends_the_others() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def done() -> None:
        ended.append("done")

    async with asyncio.timeout(5):
        await first_of(waits(), done())
    assert ended == ["done", "waits"]


async def test_what_the_first_raises_is_raised() -> None:
    async def fails() -> None:
        raise LookupError("here")

    async def waits() -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        with pytest.raises(LookupError, match="here"):
            await first_of(waits(), fails())


async def test_a_step_is_repeated_until_it_raises() -> None:
    steps = 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise LookupError("third")

    async with asyncio.timeout(5):
        with pytest.raises(LookupError, match="third"):
            await repeat(step, every_s=0)


async def test_a_step_that_drops_its_cancellation_is_not_repeated() -> None:
    began = asyncio.Event()

    async def drops_it() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    task = asyncio.create_task(repeat(drops_it, every_s=0.001))
    await began.wait()
    task.cancel()

    done, _ = await asyncio.wait({task}, timeout=5)
    assert done
    assert task.cancelled()


async def test_a_task_that_drops_its_first_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "CANCEL_AGAIN_S", 0.01)
    dropped = 0

    async def drops_one() -> None:
        nonlocal dropped
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if dropped:
                    raise
                dropped += 1

    task = asyncio.create_task(drops_one())
    other = asyncio.create_task(asyncio.Event().wait())
    await asyncio.wait({task}, timeout=0.01)

    await asyncio.wait_for(lifecycle.end(task, other), 5)

    assert (task.cancelled(), other.cancelled(), dropped) == (True, True, 1)
