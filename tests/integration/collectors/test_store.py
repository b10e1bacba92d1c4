"""What is in the tables and the ledger after flushes, whatever was there before and whoever writes beside."""

import asyncio
import random
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collectors.caution import CALM_FLUSHES
from collectors.store import Store, Stored
from shared.errors import Fatal
from tests.integration.collectors.rig import Rig
from tests.integration.collectors.stores import a_batch, a_store, events
from tests.unit.collectors.samples import SHAPES, event

RACES = 40


async def snapshot(collecting: Rig) -> dict[str, list[Any]]:
    tables = ("events", "demographics", "revenue", "batches")
    return {table: await collecting.fetch(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables}


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_column_holds_what_was_sent(collecting: Rig, shape: str) -> None:
    source, stage = shape.split()
    sent = event("e-1", shape, amount="12.30") | {"sdk": "9"}
    async with a_store(collecting, source) as store:
        await store.write(a_batch(("m-1", [sent]), source=source))

    stored = await collecting.fetch(
        "SELECT source, event_id, funnel_stage, event_type, user_id, occurred_at = '2026-01-25T17:31:13.660Z', "
        "received_at = '2026-01-25T17:31:14Z', correlation_id, data::jsonb->'user'->>'userId', extra::text FROM events"
    )
    user_id = "user-of-e-1"
    assert stored == [
        (source, "e-1", stage, sent["eventType"], user_id, True, True, "c-1", user_id, '{"sdk":"9"}')
    ]  # fmt: skip
    people = await collecting.fetch(
        "SELECT source, user_id, name, age, gender, country, city, followers, first_seen_at = '2026-01-25T17:31:14Z' "
        "FROM demographics"
    )
    if source == "facebook":
        assert people == [(source, user_id, "Zoë 😀", 41.0, "non-binary", "Japan", "大阪", None, True)]
    else:
        country = "Perú" if stage == "top" else None
        assert people == [(source, user_id, "Ressie7", None, None, country, None, 311578.0, True)]
    money = await collecting.fetch(
        "SELECT source, event_id, user_id, campaign_id, ad_id, item, amount, currency, "
        "occurred_at = '2026-01-25T17:31:13.660Z' FROM revenue"
    )
    facts = {"facebook bottom": ("camp-1", "ad-1", None), "tiktok bottom": (None, None, "Lamp")}.get(shape)
    expected = [] if facts is None else [(source, "e-1", user_id, *facts, Decimal("12.30"), None, True)]
    assert money == expected


async def test_storing_a_batch_again_changes_no_row_and_its_ledger_counts_once(collecting: Rig, store: Store) -> None:
    batch = a_batch(("m-1", events("a", "b")), ("m-2", events("c")))
    assert await store.write(batch) == Stored((2, 1), (True, True))
    before = await snapshot(collecting)

    for _ in range(CALM_FLUSHES + 3):
        assert await store.write(batch) == Stored((0, 0), (False, False))

    assert await snapshot(collecting) == before
    assert await collecting.ledger() == {"m-1": (2, 2, 0, 0), "m-2": (1, 1, 0, 0)}


async def test_duplicates_are_counted_for_the_message_that_came_later(collecting: Rig, store: Store) -> None:
    await store.write(a_batch(("m-0", events("old"))))

    stored = await store.write(
        a_batch(("m-1", events("a", "a", "b")), ("m-2", events("b", "old", "c")), ("m-3", events("c", "a", "old")))
    )

    assert stored == Stored((2, 1, 0), (True, True, True))
    assert await collecting.ledger() == {
        "m-0": (1, 1, 0, 0), "m-1": (3, 2, 1, 0), "m-2": (3, 1, 2, 0), "m-3": (3, 0, 3, 0),
    }  # fmt: skip
    assert await collecting.ids() == ["a", "b", "c", "old"]
    assert await collecting.ids("revenue") == ["a", "b", "c", "old"]


async def test_the_first_of_an_events_copies_wins_and_a_user_is_stored_as_first_seen(
    collecting: Rig, store: Store
) -> None:
    first, second = event("a", user_id="u", amount="1.00"), event("a", user_id="u", amount="2.00")
    later = event("b", user_id="u")
    later["data"]["user"]["name"] = "Another"

    await store.write(a_batch(("m-1", [first, second, later])))
    await store.write(a_batch(("m-2", [second, later])))

    assert await collecting.fetch("SELECT event_id, amount FROM revenue") == [("a", Decimal("1.00"))]
    assert await collecting.fetch("SELECT name FROM demographics") == [("Zoë 😀",)]


async def test_one_id_of_two_sources_is_two_events(collecting: Rig, store: Store) -> None:
    await store.write(a_batch(("m-1", events("a"))))
    async with a_store(collecting, "tiktok") as other:
        stored = await other.write(a_batch(("m-2", [event("a", "tiktok bottom", amount="2")]), source="tiktok"))

    assert stored.inserted == (1,)
    assert await collecting.ids() == ["a", "a"]


async def test_two_stores_that_race_for_the_same_events_double_none_and_lose_none(collecting: Rig) -> None:
    rng = random.Random(7)
    total = 0
    async with a_store(collecting) as one, a_store(collecting) as other:
        for race in range(RACES):
            pool = [f"{race}-{at}" for at in range(60)]
            batches = []
            for side in "ab":
                chosen = [rng.choice(pool) for _ in range(80)]
                total += len(chosen)
                shared_users = [event(event_id, user_id=f"u-{rng.randrange(20)}", amount="1") for event_id in chosen]
                batches.append(a_batch((f"{race}{side}0", shared_users[:40]), (f"{race}{side}1", shared_users[40:])))
            await asyncio.gather(one.write(batches[0]), other.write(batches[1]))
            wanted = {row.event_id for batch in batches for _, _, row in batch.rows()}
            found = await collecting.fetch("SELECT event_id FROM events WHERE event_id LIKE $1", f"{race}-%")
            assert sorted(row[0] for row in found) == sorted(wanted)

    [sums] = await collecting.fetch("SELECT sum(events), sum(inserted), sum(duplicates) FROM batches")
    ids = await collecting.ids()
    assert sums == (total, len(ids), total - len(ids))
    assert await collecting.ids("revenue") == ids


async def test_a_store_that_is_overtaken_each_time_it_has_asked_waits_and_skips_what_others_stored(
    collecting: Rig, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write(a_batch(("m-0", events("a", "b"))))

    async def sees_nothing(*_: Any) -> set[str]:
        return set()

    monkeypatch.setattr(store, "_known", sees_nothing)
    stored = await store.write(a_batch(("m-1", events("a", "c", "c")), ("m-2", events("b", "d"))))

    assert stored == Stored((1, 1), (True, True))
    assert await collecting.ledger() == {"m-0": (2, 2, 0, 0), "m-1": (3, 1, 2, 0), "m-2": (2, 1, 1, 0)}
    assert await collecting.ids() == await collecting.ids("revenue") == ["a", "b", "c", "d"]


async def test_the_same_message_delivered_to_two_stores_at_once_has_one_line_in_the_ledger(collecting: Rig) -> None:
    async with a_store(collecting) as one, a_store(collecting) as other:
        for race in range(RACES):
            message = (f"m-{race}", events(*(f"{race}-{at}" for at in range(20))))
            both = await asyncio.gather(one.write(a_batch(message)), other.write(a_batch(message)))
            assert sorted(stored.is_new for stored in both) == [(False,), (True,)]

    assert set((await collecting.ledger()).values()) == {(20, 20, 0, 0)}


async def test_a_lost_revenue_table_is_made_whole_by_a_replay(collecting: Rig, store: Store) -> None:
    batches = [a_batch((f"m-{at}", events(f"a-{at}", f"b-{at}"))) for at in range(CALM_FLUSHES + 2)]
    for batch in batches:
        await store.write(batch)
    before = await snapshot(collecting)
    await collecting.execute("DELETE FROM revenue WHERE event_id <> 'b-3'")

    for batch in batches:
        assert (await store.write(batch)).inserted == (0,)

    assert await snapshot(collecting) == before


async def test_what_was_not_committed_leaves_nothing_behind(collecting: Rig, store: Store) -> None:
    await collecting.execute("ALTER TABLE batches RENAME TO elsewhere")
    with pytest.raises(Fatal, match="batches"):
        await store.write(a_batch(("m-1", events("a"))))
    await collecting.execute("ALTER TABLE elsewhere RENAME TO batches")

    assert await collecting.ids() == []
    assert await collecting.ids("demographics", "user_id") == []


async def test_a_write_that_is_cancelled_leaves_nothing_behind_and_the_store_goes_on(
    collecting: Rig, store: Store
) -> None:
    batch = a_batch(("m-1", events(*map(str, range(500)))))
    for turns in range(0, 60, 3):
        writing = asyncio.create_task(store.write(batch))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait({writing})
        if not writing.cancelled():
            break
        assert await collecting.ids() == []

    await store.write(batch)
    assert len(await collecting.ids()) == 500


async def test_the_planner_settings_are_those_of_the_stores_own_sessions_alone(collecting: Rig, store: Store) -> None:
    assert await collecting.fetch("SHOW enable_seqscan") == [("on",)]
    async with store._connected() as connection:
        assert await connection.fetchval("SHOW enable_seqscan") == "off"
        assert await connection.fetchval("SELECT count(*) FROM events") == 0, "a scan is still made where none else is"


async def test_without_tables_it_says_how_to_make_them(collecting: Rig) -> None:
    await collecting.execute("DROP TABLE events")

    with pytest.raises(Fatal, match=r"no tables for facebook yet: run `python -m collectors.migrate`"):
        async with a_store(collecting):
            pass


async def test_events_whose_partition_is_gone_wait_for_it_and_are_no_dead_letters(
    collecting: Rig, store: Store
) -> None:
    await collecting.execute("ALTER TABLE events DETACH PARTITION events_facebook")
    with pytest.raises(Fatal, match=r"no partition .*run `python -m collectors\.migrate`"):
        await store.write(a_batch(("m-1", events("e-1"))))
    await collecting.execute("ALTER TABLE events ATTACH PARTITION events_facebook FOR VALUES IN ('facebook')")
    await store.write(a_batch(("m-1", events("e-1"))))
    assert await collecting.ids() == ["e-1"]


async def test_old_events_are_removed_as_the_page_says_and_stored_again_when_they_come_again(collecting: Rig) -> None:
    page = (Path(__file__).parents[3] / "docs" / "changes.md").read_text(encoding="utf-8")
    [removing] = re.findall(r"^```sql\n(DELETE FROM events_tiktok .*?)```", page, re.DOTALL | re.MULTILINE)
    old, new = {"timestamp": "2024-01-01T00:00:00Z"}, {"timestamp": datetime.now(UTC).isoformat()}
    of_tiktok = [event("t-old", "tiktok top") | old, event("t-new", "tiktok top") | new]
    async with a_store(collecting) as facebook, a_store(collecting, "tiktok") as tiktok:
        await facebook.write(a_batch(("m-1", [event("f-old") | old])))
        await tiktok.write(a_batch(("m-2", of_tiktok), source="tiktok"))
        await collecting.execute(removing)
        assert await collecting.ids() == ["f-old", "t-new"]
        assert (await tiktok.write(a_batch(("m-3", of_tiktok), source="tiktok"))).inserted == (1,)
    assert await collecting.ids() == ["f-old", "t-new", "t-old"]
