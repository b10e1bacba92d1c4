"""When a batch is flushed."""

import asyncpg

from tests.integration.collectors.rig import SOURCE, Rig, until
from tests.unit.collectors.samples import event


async def test_a_batch_takes_more_while_the_one_before_it_is_being_stored_but_no_more_messages_than_fill_it(
    collecting: Rig,
) -> None:
    locker = await asyncpg.connect(collecting.database_url)
    async with collecting.collector(flush_events=1_000) as running:  # ten messages of the usual size
        await until(running.is_started)
        batches = running.collector._worker._in_hand

        async def is_due() -> bool:
            return any(batch.is_due and [row.event_id for *_, row in batch.rows()] == wanted for batch in batches)

        async with locker.transaction():
            await locker.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            for number in range(11):  # the first is being stored, and waits for the lock; the others share a batch
                await collecting.send([event(f"e-{number}")])
                wanted = ["e-0"] if number == 0 else [f"e-{one}" for one in range(1, number + 1)]
                await until(is_due)
            await collecting.send([event("one-too-many")])
            assert len(batches) == 2
        await collecting.all_settled()
        assert running.counted("collector_flush_events_sum", source=SOURCE) == 12
        assert running.counted("collector_flush_events_count", source=SOURCE) == 3
    await locker.close()
    assert len(await collecting.ids()) == 12
