"""`python -m streams dead-letters` and `replay` as processes: exit statuses, single lines, a question on a terminal."""

import asyncio
import os
import pty
import sys
from contextlib import suppress

import pytest

from tests.integration.collectors.rig import DEADLINE_S, Rig
from tests.integration.streams.putting_through import collecting, events
from tests.integration.streams.test_command import ROOT, Command

__all__ = ["collecting"]  # a fixture


@pytest.fixture
def program(collecting: Rig) -> Command:
    return Command(collecting.nats_url, collecting.prefix)


@pytest.fixture
async def a_letter(collecting: Rig) -> None:
    """One dead letter that will never be valid."""
    await collecting.connection.jetstream.publish(collecting.names.dead_letters("facebook"), b'{"eventId": 5}')


async def test_results_go_to_standard_output_and_what_is_wrong_is_a_line_on_the_other(
    program: Command, a_letter: None
) -> None:
    code, out, err = await program("dead-letters", "list")
    assert (code, err) == (0, "")
    assert out.endswith("1 dead letter: unknown 1\n")

    code, out, err = await program("dead-letters", "replay")
    assert (code, err) == (1, "streams: 1 dead letter can't be replayed as above, and stays here\n")
    assert out.startswith("1: still invalid: ")

    code, out, err = await program("dead-letters", "show", "7")
    assert (code, out) == (1, "")
    assert err == "streams: there is no dead letter 7: `dead-letters list` shows those that are there\n"


async def test_a_stream_that_is_not_there_is_said_in_a_line(program: Command, collecting: Rig) -> None:
    for arguments in (["dead-letters", "list"], ["replay", "--source", "facebook", "--since", "1h"]):
        code, out, err = await program(*arguments, STREAM_PREFIX="NONE_")
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert "run `python -m streams apply`" in err


async def test_where_nobody_can_be_asked_nothing_is_done_and_the_line_says_yes(
    program: Command, collecting: Rig, a_letter: None
) -> None:
    await collecting.send(events("a"))
    for arguments in (["dead-letters", "drop"], ["replay", "--source", "facebook", "--since", "1h"]):
        code, _, err = await program(*arguments)
        assert code == 1
        assert err.count("\n") == 1
        assert "give --yes" in err
    assert len(await collecting.dead_letters()) == 1
    assert await collecting.unsettled() == 1


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("", 1), ("yes", 0)])
async def test_on_a_terminal_it_asks(program: Command, collecting: Rig, a_letter: None, answer: str, left: int) -> None:
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams", "dead-letters", "drop",
            cwd=ROOT, env=program.environment, stdin=theirs, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            async with asyncio.timeout(DEADLINE_S):
                asked = await process.stderr.readuntil(b"[y/N] ")
                assert asked == b"Remove 1 dead letter for good? [y/N] "
                os.write(ours, answer.encode() + b"\n")
                await process.communicate()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == (1 if left else 0)
    assert len(await collecting.dead_letters()) == left
