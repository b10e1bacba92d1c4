"""Which keys a store asks for, and that no duplicate is stored whichever it asked for."""

from typing import Any

import pytest

from collectors.caution import CALM_FLUSHES
from collectors.store import Store, Stored
from tests.integration.collectors.rig import Rig
from tests.integration.collectors.stores import a_batch, a_store, events
from tests.unit.collectors.samples import event


def _what_is_asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The questions that stores ask from now on: which, and of how many keys."""
    asked: list[tuple[str, int]] = []
    known = Store._known

    async def watched(self: Store, connection: Any, name: str, keys: list[str]) -> set[str]:
        if keys:
            asked.append((name, len(keys)))
        return await known(self, connection, name, keys)

    monkeypatch.setattr(Store, "_known", watched)
    return asked


@pytest.mark.parametrize("flushes", [1, CALM_FLUSHES + 2], ids=["while it asks for all", "while it expects none"])
@pytest.mark.parametrize("old", ["mine-0", "another's"])
async def test_duplicates_between_new_events_are_found_however_the_flushes_before_were(
    collecting: Rig, store: Store, flushes: int, old: str
) -> None:
    async with a_store(collecting) as another:
        await another.write(a_batch(("before", events("another's"))))
    mine = [f"mine-{at}" for at in range(flushes)]
    for event_id in mine:
        await store.write(a_batch((event_id, events(event_id))))

    stored = await store.write(a_batch(("late", events(old, "new", "new", "newer"))))

    assert stored == Stored((2,), (True,))
    assert (await collecting.ledger())["late"] == (4, 2, 2, 0)
    assert await collecting.ids() == sorted(["another's", *mine, "new", "newer"])


async def test_duplicates_of_the_last_flushes_are_asked_for_alone(
    collecting: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _what_is_asked(monkeypatch)
    async with a_store(collecting) as store:
        for number in range(CALM_FLUSHES + 2):
            asked.clear()
            repeated = [f"e-{number - 1}-0"] if number else []
            fresh = [f"e-{number}-{at}" for at in range(5)]
            assert (await store.write(a_batch((f"m-{number}", events(*repeated, *fresh))))).inserted == (5,)
        assert sorted(asked) == [("known_events", 1), ("known_revenue", 1), ("known_users", 1)]


async def test_an_event_that_was_deleted_is_stored_again_however_short_ago_that_was(
    collecting: Rig, store: Store
) -> None:
    for at in range(CALM_FLUSHES + 2):
        await store.write(a_batch((f"m-{at}", events(f"e-{at}"))))
    for table in ("events", "demographics", "revenue"):
        await collecting.execute(f"DELETE FROM {table}")

    assert (await store.write(a_batch(("again", events("e-9", "e-10"))))).inserted == (2,)
    assert [len(await collecting.fetch(f"SELECT FROM {table}")) for table in ("events", "revenue")] == [2, 2]


async def test_a_known_user_with_a_new_event_is_no_obstacle_to_a_store_that_expects_none(
    collecting: Rig, store: Store
) -> None:
    for at in range(CALM_FLUSHES + 2):
        await store.write(a_batch((f"m-{at}", [event(f"e-{at}", user_id=f"u-{at}")])))

    assert (await store.write(a_batch(("late", [event("new", user_id="u-0")])))).inserted == (1,)

    assert (await collecting.ids("demographics", "user_id")).count("u-0") == 1


async def test_repeated_events_do_not_make_every_flush_ask_for_users(
    collecting: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _what_is_asked(monkeypatch)
    async with a_store(collecting) as store, a_store(collecting) as another:
        for number in range(CALM_FLUSHES + 3):
            await another.write(a_batch((f"o-{number}", events(f"another's-{number}"))))
            asked.clear()
            fresh = [f"e-{number}-{at}" for at in range(5)]
            stored = await store.write(a_batch((f"m-{number}", events(f"another's-{number}", *fresh))))
            assert stored.inserted == (5,)
            assert ("known_events", 6) in asked
        assert ("known_users", 1) in asked  # of the event that is known, whose user might have been lost
    assert await collecting.fetch("SELECT count(*), count(DISTINCT user_id) FROM demographics") == [
        (6 * (CALM_FLUSHES + 3),) * 2
    ]
