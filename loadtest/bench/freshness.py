"""How long an accepted event is not yet in the tables, at a steady rate.

Invariant: the clock of an event starts at the answer to its request and stops when another session sees its message
in the ledger, which is written in the transaction of its rows. `stored_at` would not do: it is the time at which that
transaction began.

The ledger is asked every 4 ms for the messages of the requests that are not complete yet, an index lookup for each,
so a figure is at most that much too long, and never too short. Answers come from the load program, whose clock is the
same (CLOCK_MONOTONIC). An event that is committed before its request is answered counts as 0.
"""

import asyncio
import time
from typing import Any, Final

from loadtest.bench.numbers import weighted_spread
from loadtest.bench.options import Sizes
from loadtest.bench.postgres import LedgerReader
from loadtest.bench.rig import Rig
from loadtest.errors import CannotRun

_EVERY_S: Final = 0.004
_REQUEST_EVENTS: Final = 1_000
_CONNECTIONS: Final = 8
_AHEAD: Final = 2
"""Requests asked for before they are due by our own count, as the load program starts a little after the order."""
_RATE_REACHED: Final = 0.95
_SETTLING_S: Final = 1.0
"""At the begin: not counted, as the way is still empty."""


async def freshness(rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """Requests of 1,000 events, each sent when it is due."""
    interval_s = _REQUEST_EVENTS / sizes.freshness_rate_per_s
    bodies = await rig.bodies(int(sizes.freshness_s * sizes.freshness_rate_per_s), of=_REQUEST_EVENTS)
    reader = await LedgerReader.open(rig.stack.dsn)
    try:
        async with rig.load(bodies, rig.stack.bulk_url) as load:
            with rig.meter.measured(bodies.valid, load.pid) as cost:
                sending = asyncio.create_task(
                    load.bulk(len(bodies.index), connections=_CONNECTIONS, interval_s=interval_s)
                )
                names = [body.correlation_id for body in bodies.index]
                seen = await _watch(reader, names, interval_s, sending)
                result = await sending
            await rig.stored.until(bodies.valid)
    finally:
        await reader.close()
    answers = result["requests"]
    began = min(answer["dueAt"] for answer in answers)
    answered = {answer["correlationId"]: answer["answeredAt"] for answer in answers}
    counted = {answer["correlationId"] for answer in answers if answer["dueAt"] - began >= _SETTLING_S}
    waits = [(max(0.0, at - answered[name]), events) for at, name, events in seen.values() if name in counted]
    sent_s = max(answer["sentAt"] for answer in answers) - began + interval_s
    if (rate := bodies.valid / sent_s) < _RATE_REACHED * sizes.freshness_rate_per_s:
        raise CannotRun(
            f"no more than {rate:,.0f} of {sizes.freshness_rate_per_s:,} events/s were taken, which is no measure"
        )
    return {
        "eventsPerSecond": rate,
        "latency": weighted_spread(waits),
        "answer": weighted_spread(
            [(answer["answeredAt"] - answer["dueAt"], answer["processed"]) for answer in answers]
        ),
        "lateToSend": max(answer["sentAt"] - answer["dueAt"] for answer in answers),
        "events": sum(events for _, events in waits),
        "cpu": cost,
        "account": await rig.account(bodies.index, answers),
    }


async def _watch(
    reader: LedgerReader, names: list[str], interval_s: float, sending: "asyncio.Task[dict[str, Any]]"
) -> dict[str, tuple[float, str, int]]:
    """Message id → (when it was first seen, correlation id, events), until all events of all requests are seen."""
    seen: dict[str, tuple[float, str, int]] = {}
    missing = dict.fromkeys(names, _REQUEST_EVENTS)
    began, ends_at = time.monotonic(), None
    while missing:
        due = int((time.monotonic() - began) / interval_s) + _AHEAD
        asked = [name for name in names[: due + 1] if name in missing][: 4 * due]
        found = await reader.messages(asked)
        now = time.monotonic()
        for message_id, name, events in found:
            if message_id not in seen:
                seen[message_id] = (now, name, events)
                missing[name] -= events
                if missing[name] <= 0:
                    del missing[name]
        if sending.done() and sending.exception() is not None:
            break  # which the caller is told when it looks
        if sending.done() and ends_at is None:
            ends_at = now + 60.0
        if ends_at is not None and now > ends_at:
            break  # what is missing is told by the receipts
        await asyncio.sleep(_EVERY_S)
    return seen
