"""When a batch is flushed."""

import asyncpg

from tests.integration.collectors.rig import SOURCE, Rig, until
from tests.unit.collectors.samples import event


async def test_a_batch_takes_more_while_the_one_before_it_is_being_stored(collecting: Rig) -> None:
    locker = await asyncpg.connect(collecting.database_url)
    async with collecting.collector(flush_events=10) as running:
        await until(running.is_started)
        batches = running.collector._worker._in_hand

        async def is_due() -> bool:
            return any(batch.is_due and sorted(row.event_id for *_, row in batch.rows()) == wanted for batch in batches)

        async with locker.transaction():
            await locker.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            for number in range(6):  # the first is being stored, and waits for the lock; the others share a batch
                await collecting.send([event(f"e-{number}")])
                wanted = [f"e-{number}"] if number < 2 else [f"e-{one}" for one in range(1, number + 1)]
                await until(is_due)
            assert len(batches) == 2
            await collecting.send([event(f"more-{number}") for number in range(5)])
            await collecting.send([event("too-many")])
            wanted = sorted([f"e-{one}" for one in range(1, 6)] + [f"more-{number}" for number in range(5)])
            await until(is_due)
        await collecting.all_settled()
        assert running.counted("collector_flush_events_sum", source=SOURCE) == 12
        assert running.counted("collector_flush_events_count", source=SOURCE) == 3
    await locker.close()
    assert len(await collecting.ids()) == 12
