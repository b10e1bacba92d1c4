"""One piece of work in a turn of the event loop, whoever's it is."""

import asyncio

import pytest

from gateway.turns import Turns


async def test_in_one_turn_of_the_event_loop_one_piece_is_done_and_everybody_is_next_in_turn() -> None:
    turns, done, loop_turns = Turns(), [], 0

    async def work(name: str) -> None:
        for _ in range(5):
            async with turns:
                done.append((loop_turns, name))

    working = [asyncio.create_task(work(name)) for name in "abc"]
    while not all(task.done() for task in working) and loop_turns < 1_000:
        await asyncio.sleep(0)
        loop_turns += 1

    assert [name for _, name in done] == list("abc" * 5)
    assert len({at for at, _ in done}) == len(done), "two pieces in one turn"


async def test_who_is_alone_waits_for_nobody() -> None:
    turns, done, loop_turns = Turns(), 0, 0

    async def work() -> None:
        nonlocal done
        for _ in range(10):
            async with turns:
                done += 1

    working = asyncio.create_task(work())
    while not working.done() and loop_turns < 1_000:
        await asyncio.sleep(0)
        loop_turns += 1
    assert (done, loop_turns) == (10, 11)


@pytest.mark.parametrize("where", ["while it waits", "on its way out"])
async def test_a_piece_that_is_given_up_holds_nobody_up(where: str) -> None:
    turns, began = Turns(), asyncio.Event()

    async def work() -> None:
        async with turns:
            began.set()

    first, second = asyncio.create_task(work()), asyncio.create_task(work())
    await began.wait()
    (second if where == "while it waits" else first).cancel()
    async with asyncio.timeout(5), turns:
        pass
    await asyncio.wait({first, second}, timeout=5)
    assert first.done()
    assert second.done()
