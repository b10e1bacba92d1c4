"""Faults inside JetStream: full streams, a deleted consumer, a purge, leaders that move; and clocks that jump."""

import asyncio
import signal
from random import Random
from typing import Final

from nats.js.errors import APIError, NotFoundError

from streams.subjects import COLLECTOR
from tests.faults.fault import FaultHadNoEffectError
from tests.faults.waiting import until, until_true
from tests.faults.world import World

FULL_TIMEOUT_S: Final = 60.0
CLOSED: Final = '"closed_for": ["'
"""In the gateway's log where its guard closes for some source; it opens with an empty list."""
DAY_S: Final = 86_400
JUMP_TOLERANCE_S: Final = 20
_RECEIVED_OFF_BY: Final = """
    SELECT EXISTS (SELECT FROM events WHERE abs(extract(epoch FROM received_at - now()) - $1::float) < $2::float)
"""
JUMPS_S: Final = (-DAY_S, -3_600, -60, 60, 3_600, DAY_S)


class UnreadEvictedError(Exception):
    """A message that no collector had stored was evicted: the backlog guard has failed."""


async def collectors_away(world: World, random: Random) -> None:
    """All collectors stopped until the gateway says 503 for the backlog; nothing unread may be evicted."""
    before = world.gateway.said(CLOSED)
    for collector in world.collectors:
        collector.send(signal.SIGSTOP)
    try:
        await until_true(lambda: world.gateway.said(CLOSED) > before, within_s=FULL_TIMEOUT_S)
        await asyncio.sleep(random.uniform(0.5, 2.0))
        for source in world.broker.sources:
            position = await world.broker.position(source)
            if position is not None and position.first_seq > position.ack_floor + 1:
                raise UnreadEvictedError(f"{source}: {position}")
    finally:
        for collector in world.collectors:
            collector.send(signal.SIGCONT)


async def consumer_deleted(world: World, random: Random) -> None:
    """The durable consumer of a source is gone, and its place in the stream with it."""
    source = random.choice(world.broker.sources)
    try:
        await world.broker.ask(f"CONSUMER.DELETE.{world.broker.names.stream(source)}.{COLLECTOR}")
    except NotFoundError:
        return

    async def is_back() -> bool:
        return await world.broker.position(source) is not None

    await until(is_back, within_s=FULL_TIMEOUT_S)


async def stored_part_purged(world: World, random: Random) -> None:
    """Everything that was stored already is purged. (A purge of the rest would be the loss that it asks for.)"""
    source = random.choice(world.broker.sources)
    position = await world.broker.position(source)
    if position is not None:
        await world.broker.ask(f"STREAM.PURGE.{world.broker.names.stream(source)}", {"seq": position.ack_floor + 1})


async def stream_leader_moved(world: World, random: Random) -> None:
    """The leader of a source's stream steps down."""
    await _ask(world, f"STREAM.LEADER.STEPDOWN.{world.broker.names.stream(random.choice(world.broker.sources))}")


async def consumer_leader_moved(world: World, random: Random) -> None:
    """The leader of a source's consumer steps down."""
    stream = world.broker.names.stream(random.choice(world.broker.sources))
    await _ask(world, f"CONSUMER.LEADER.STEPDOWN.{stream}.{COLLECTOR}")


async def clock_jumped(world: World, random: Random) -> None:
    """The programs' wall clocks jump, forth or back, and return once an event with the wrong time was stored."""
    jump_s = random.choice(JUMPS_S)
    connection = await world.tables.connect()

    async def is_seen() -> bool:
        return bool(await connection.fetchval(_RECEIVED_OFF_BY, jump_s, JUMP_TOLERANCE_S))

    world.clock_file.write_text(str(jump_s), encoding="ascii")
    try:
        await until(is_seen, within_s=FULL_TIMEOUT_S)
        await asyncio.sleep(random.uniform(0.0, 1.0))
    except TimeoutError:
        raise FaultHadNoEffectError(f"no event was received at a time that is off by {jump_s} s") from None
    finally:
        world.clock_file.write_text("0", encoding="ascii")
        await connection.close()


async def senders_hang_up(world: World, random: Random) -> None:
    """Marks the fault; the senders themselves hang up (see `phase`)."""
    del world
    await asyncio.sleep(random.uniform(0.3, 1.0))


async def _ask(world: World, subject: str) -> None:
    try:
        await world.broker.ask(subject)
    except APIError as error:
        if error.code is None or error.code < 500:
            raise
