"""A fleet that grows and shrinks while events come in.

Invariant: the sender sees no error (`LoadProcess.bulk` raises for any answer but 200), every accepted event is stored
once, and no program ended that was not asked to.
"""

import asyncio
import time
from typing import Any

from loadtest.bench import postgres
from loadtest.bench.numbers import spread
from loadtest.bench.phases import INVALID_SHARE, REPEATED_SHARE
from loadtest.bench.rig import Rig
from loadtest.errors import CannotRun
from loadtest.plan.model import Point
from loadtest.scaling.fleet import Fleet, FleetProcess
from loadtest.scaling.options import BASE, Sizes


async def elastic(process: FleetProcess, fleet: Fleet, rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """One of each, then the most of each, then one again, under a steady load. Raises CannotRun for any error."""
    each = sizes.elastic_slice_requests
    bodies = await rig.bodies(
        sizes.elastic_slices * each * sizes.request_events,
        of=sizes.request_events,
        invalid=INVALID_SHARE,
        repeated=REPEATED_SHARE,
    )
    most = Point(sizes.elastic_most, sizes.elastic_most)
    answers: list[dict[str, Any]] = []
    times: list[float] = []

    async with rig.load(bodies, fleet.bulk_url) as load:

        async def send() -> None:
            sent = await load.bulk(each, connections=sizes.connections, interval_s=sizes.elastic_interval_s, again=True)
            answers.extend(sent["requests"])

        async def grow_and_shrink() -> Fleet:
            times.append(time.monotonic())
            await process.scale(most)
            times.append(time.monotonic())
            await asyncio.sleep(each * sizes.elastic_interval_s / 2)  # work for the new ones
            times.append(time.monotonic())
            last = await process.scale(BASE)
            times.append(time.monotonic())
            return last

        await send()  # one of each, at work
        scaling = asyncio.create_task(grow_and_shrink())
        try:
            for _ in range(sizes.elastic_slices - 2):
                await send()
                if scaling.done():
                    break
            last = await asyncio.wait_for(scaling, 0.1)
        except TimeoutError:
            raise CannotRun("the load ended before the fleet had grown and shrunk: the machine is too busy") from None
        finally:
            scaling.cancel()
        await send()  # one of each again
    account = await rig.account(bodies.index, answers)
    rows = await postgres.stored_rows(fleet.dsn)
    if rows != account["stored"]:
        raise CannotRun(f"the receipts say that {account['stored']:,} events are stored, and there are {rows:,} rows")
    if last.restarts:
        raise CannotRun(f"{last.restarts} programs ended that nobody had asked to")
    return {
        "most": most.gateways,
        "eventsPerSecond": sizes.request_events / sizes.elastic_interval_s,
        "requests": len(answers),
        "errors": 0,
        "sentAgain": sum(bool(answer.get("again")) for answer in answers),
        "grewSeconds": times[1] - times[0],
        "shrankSeconds": times[3] - times[2],
        "latency": spread([answer["answeredAt"] - answer["sentAt"] for answer in answers]),
        "account": account,
        "rows": rows,
    }
