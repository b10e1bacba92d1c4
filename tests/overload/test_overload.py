"""More than the gateway can carry: it stays up, its memory stays bounded, and what it takes, it takes as before.

Each test prints what it measured; `-s` shows it.
"""

import asyncio
import json
from contextlib import AsyncExitStack

from tests.fuzz.case import BULK_PATH
from tests.fuzz.connection import Answer
from tests.fuzz.program import Program, gateway
from tests.fuzz.stored import stored
from tests.integration.gateway.conftest import eventually
from tests.overload.conftest import Form
from tests.overload.load import JSON, Deaf, Slow, Watch, body, flood

MIB = 1024 * 1024
PLACES = 6
BODY_BYTES = 500_000
CAPS = {
    "MAX_REQUESTS_IN_FLIGHT": str(PLACES),
    "MAX_BODY_BYTES": str(BODY_BYTES),
    "MAX_BYTES_IN_FLIGHT": str(PLACES * BODY_BYTES),
}
EVENTS = 500
"""In a bulk. A refusal costs the same for one event: who floods with single ones has more of them refused."""
ROOM_BYTES = 1024 * MIB
"""For all that is taken, so that it is the caps that refuse and not the backlog guard."""
HEALTHY_WITHIN_S = 2.0
WORKED_OFF_WITHIN_S = 60.0
"""What the system's buffers hold of requests and answers is worked off before all connections stand still."""
LEAST_SHARE = 0.2
"""Of the rate without overload. The senders and the gateway share a machine, and its refusals are not free."""


async def _post(program: Program, posted: bytes) -> Answer:
    async with program.connection() as connection:
        return await connection.post(BULK_PATH, posted, JSON)


async def test_ten_times_the_load_is_refused_and_what_is_taken_is_taken_as_fast(nats_url: str, form: Form) -> None:
    async with gateway(nats_url, **CAPS, STREAM_MAX_BYTES=str(ROOM_BYTES)) as program:
        await flood(program, senders=PLACES, events=EVENTS, seconds=0.3)  # its first requests are its slowest
        alone = await flood(program, senders=PLACES, events=EVENTS, seconds=form.seconds)
        async with Watch(program) as watch:
            over = await flood(program, senders=10 * PLACES, events=EVENTS, seconds=form.seconds)
        after = await flood(program, senders=1, events=EVENTS, seconds=0.2)
        found = await stored(nats_url, program.names)
        print(  # noqa: T201
            f"alone {alone.rate:,.0f} events/s; offered {over.offered / alone.rate:.1f} times as much, "
            f"{over.rate:,.0f} events/s: {dict(over.answers)}; {watch}"
        )

    assert set(alone.answers) == {200}
    assert set(over.answers) == {200, 503}
    assert (over.broken, over.without_retry_after) == ([], 0)
    assert over.rate >= LEAST_SHARE * alone.rate
    assert set(after.answers) == {200}
    ids = set(found.ids)
    assert over.taken | alone.taken | after.taken <= ids
    assert over.refused
    assert not over.refused & ids
    assert watch.unwell == []
    assert watch.slowest_s < HEALTHY_WITHIN_S
    assert watch.grown_bytes < 64 * MIB


async def test_idle_connections_cost_little_and_are_in_nobodys_way(nats_url: str, form: Form) -> None:
    async with gateway(nats_url) as program, AsyncExitStack() as idle:
        async with Watch(program) as watch:
            for _ in range(form.idle_connections):
                _, writer = await asyncio.open_connection("127.0.0.1", program.port)
                idle.callback(writer.close)
            seen = await flood(program, senders=2, events=EVENTS, seconds=0.3)
        print(f"{form.idle_connections} idle connections; {watch}")  # noqa: T201

    assert set(seen.answers) == {200}
    assert (seen.broken, watch.unwell) == ([], [])
    assert watch.slowest_s < HEALTHY_WITHIN_S
    assert watch.grown_bytes < form.idle_connections * 32 * 1024 + 32 * MIB


async def test_slow_senders_hold_their_places_no_longer_than_the_time_for_a_body(nats_url: str, form: Form) -> None:
    async with gateway(nats_url, **CAPS | {"BODY_TIMEOUT": "1500"}) as program:
        async with Watch(program) as watch:
            slow = [asyncio.create_task(Slow(program).answer()) for _ in range(PLACES)]
            await eventually(lambda: program.answers("/metrics", 200, f"gateway_requests_in_flight {PLACES:.1f}"))
            refused = await _post(program, body(1)[0])
            lines = await asyncio.gather(*slow)
            taken = await flood(program, senders=1, events=1, seconds=0.1)
        found = await stored(nats_url, program.names)
        print(f"{len(lines)} slow senders; {watch}")  # noqa: T201

    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert {line.split()[1] for line in lines} == {b"408"}
    assert set(taken.answers) == {200}
    assert set(found.ids) == taken.taken  # nothing of the slow ones
    assert watch.unwell == []
    assert watch.slowest_s < HEALTHY_WITHIN_S


async def test_senders_that_never_read_their_answers_hold_no_place_and_little_memory(nats_url: str, form: Form) -> None:
    long_answer = json.dumps([{"eventId": f"bad-{number}"} for number in range(400)]).encode()
    async with gateway(nats_url, **CAPS) as program:

        async def taken() -> bool:
            return (await _post(program, body(1)[0])).status == 200

        deaf = [Deaf(program, long_answer) for _ in range(form.deaf_senders)]
        size = len((await _post(program, long_answer)).body)
        async with Watch(program) as watch:
            await asyncio.gather(*(sender.send(2 * form.seconds) for sender in deaf))
            await eventually(taken, WORKED_OFF_WITHIN_S)
        for sender in deaf:
            sender.close()
        sent = sum(sender.sent for sender in deaf)
        print(f"{sent} requests with answers of {size:,} bytes, none of them read; {watch}")  # noqa: T201

    assert sent > form.deaf_senders
    assert watch.unwell == []
    assert watch.slowest_s < HEALTHY_WITHIN_S
    assert watch.grown_bytes < form.deaf_senders * (4 * size) + 48 * MIB
