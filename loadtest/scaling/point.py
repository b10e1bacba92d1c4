"""One point of the grid: so many gateways and collectors, a fixed load, what came of it and what it cost.

Invariant: it has figures only if every accepted event was stored once: by the receipts, and by the rows themselves.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from loadtest.bench import postgres
from loadtest.bench.numbers import per_million, per_second, spread
from loadtest.bench.phases import INVALID_SHARE, REPEATED_SHARE
from loadtest.bench.rig import Rig
from loadtest.errors import CannotRun
from loadtest.plan.model import Point
from loadtest.scaling import shares
from loadtest.scaling.fleet import Fleet
from loadtest.scaling.options import Sizes

KINDS: Final = ("gateway", "collectors", "nats", "postgres", "nginx", "generator")
"""Whose CPU is told: the first words of the names of a fleet's processes, and the load program."""


async def measure(point: Point, fleet: Fleet, rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """From the first byte sent until the last row is committed. Raises CannotRun where the account does not add up."""
    warm = sizes.warm_up_events // sizes.request_events
    bodies = await rig.bodies(
        sizes.warm_up_events + sizes.events, of=sizes.request_events, invalid=INVALID_SHARE, repeated=REPEATED_SHARE
    )
    warm_valid = sum(body.valid for body in bodies.index[:warm])
    valid = bodies.valid - warm_valid
    async with rig.load(bodies, fleet.bulk_url) as load:
        warmed = await load.bulk(warm, connections=sizes.connections)
        await rig.stored.until(warm_valid)
        before = await _counts(rig, fleet)
        with rig.meter.measured(valid, load.pid) as cost:
            sending = load.bulk(len(bodies.index) - warm, connections=sizes.connections)
            result, stored_at = await rig.until_stored(sending, warm_valid + valid)
        after = await _counts(rig, fleet)
    answers = result["requests"]
    first = min(answer["sentAt"] for answer in answers)
    answered_at = max(answer["answeredAt"] for answer in answers)
    account = await rig.account(bodies.index, warmed["requests"] + answers)
    rows = await postgres.stored_rows(fleet.dsn)
    if rows != account["stored"]:
        raise CannotRun(f"the receipts say that {account['stored']:,} events are stored, and there are {rows:,} rows")
    did = shares.done(before, after)
    collectors = {name: count for name, count in did.items() if name in fleet.collectors}
    gateways = [count for name, count in did.items() if name in fleet.gateways]
    return asdict(point) | {
        "events": valid,
        "seconds": stored_at - first,
        "eventsPerSecond": per_second(valid, stored_at - first),
        "acceptedPerSecond": per_second(valid, answered_at - first),
        "latency": spread([answer["answeredAt"] - answer["sentAt"] for answer in answers]),
        "cpuSecondsPerMillion": by_kind(cost["seconds"], valid),
        "othersSeconds": cost["othersSeconds"],
        "gatewayShares": _as_dict(shares.shares(gateways)),
        "collectorShares": _as_dict(shares.collectors_shares(collectors)),
        "account": account,
        "rows": rows,
    }


def by_kind(seconds: Mapping[str, float], events: int) -> dict[str, float]:
    """CPU seconds per million events, the processes of a kind added up. Pure."""
    return {
        kind: per_million(sum(value for name, value in seconds.items() if name.split()[0] == kind), events)
        for kind in KINDS
    }


async def _counts(rig: Rig, fleet: Fleet) -> dict[str, int]:
    """What each gateway and each collector says that it did so far."""

    async def ask(name: str, url: str, read: Callable[[str], int]) -> tuple[str, int]:
        async with rig.session.get(f"{url}/metrics") as response:
            return name, read(await response.text())

    asked = [ask(name, url, shares.durable) for name, url in fleet.gateways.items()]
    asked += [ask(name, url, shares.stored) for name, url in fleet.collectors.items()]
    return dict(await asyncio.gather(*asked))


def _as_dict(found: shares.Shares | None) -> dict[str, float] | None:
    return asdict(found) if found else None
