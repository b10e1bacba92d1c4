"""Faults of processes: killed, asked to end, stopped where they are; alone and in pairs.

Every fault returns when it is over and mended: what was killed is started again (programs by their supervision,
servers here), what was stopped goes on. The recovery that follows is measured, not part of the fault.
"""

import asyncio
import contextlib
import os
import signal
from random import Random
from typing import Final

import psutil

from tests.faults.fault import Fault, FaultHadNoEffectError
from tests.faults.waiting import until
from tests.faults.world import World
from tests.servers import Server

PAUSE_S: Final = (0.5, 3.0)
BRIEF_PAUSE_S: Final = (0.3, 1.2)
"""In the short form."""
LONG_PAUSE_S: Final = 5.0
"""Longer than the consumer's ack wait here: what a stopped collector held is delivered to another."""
DOWN_S: Final = (0.0, 1.5)
START_ATTEMPTS: Final = 3
LEADER_SHARE: Final = 0.6
"""Of the faults of a node, beside those that hit the leader by chance."""
BACKEND_TIMEOUT_S: Final = 30.0
SETTLE_S: Final = 0.3
"""For what the broker was just writing when it lost its disk."""
PARTS: Final = ("gateway", "collector", "nats", "postgres")


def program(role: str, number: signal.Signals) -> Fault:
    """A signal to the gateway or to a collector: SIGKILL and SIGTERM end it, SIGSTOP holds it for a while."""

    async def inject(world: World, random: Random) -> None:
        chosen = world.gateway if role == "gateway" else random.choice(world.collectors)
        chosen.send(number)
        if number == signal.SIGSTOP:
            await asyncio.sleep(_pause_s(world, random))
            chosen.send(signal.SIGCONT)
        else:
            await chosen.ended()

    return inject


def server(role: str, number: signal.Signals) -> Fault:
    """A signal to nats-server or to PostgreSQL with all its backends; started again after a moment."""

    async def inject(world: World, random: Random) -> None:
        await _hit(world, random.choice(world.nats) if role == "nats" else world.postgres, number, random)

    return inject


def node(number: signal.Signals) -> Fault:
    """A signal to the node of a cluster that leads the first source's stream, or to another one."""

    async def inject(world: World, random: Random) -> None:
        info = await world.broker.ask(f"STREAM.INFO.{world.broker.names.stream(world.broker.sources[0])}")
        leader = (info.get("cluster") or {}).get("leader")
        leading = [one for one in world.nats if getattr(one, "name", "") == leader]
        chosen = random.choice(leading or world.nats if random.random() < LEADER_SHARE else world.nats)
        await _hit(world, chosen, number, random)

    return inject


async def killed_while_storing(world: World, random: Random) -> None:
    """All collectors killed while their flushes are on the way to PostgreSQL, which never gets them."""
    async with world.links["collector-postgres"].frozen(reset_after=True):
        await asyncio.sleep(random.uniform(0.7, 1.2))
        for collector in world.collectors:
            collector.send(signal.SIGKILL)
            await collector.ended()


async def postmaster_killed(world: World, random: Random) -> None:
    """SIGKILL to the postmaster alone: its backends learn it by themselves."""
    os.kill(world.postgres.pid, signal.SIGKILL)
    await asyncio.sleep(random.uniform(*DOWN_S))
    await asyncio.to_thread(world.postgres.kill)  # notes that it is gone
    await start_again(world.postgres)


async def postmaster_smart_stop(world: World, random: Random) -> None:
    """SIGTERM to PostgreSQL: it takes no new connection and waits for the others; then a fast stop."""
    os.kill(world.postgres.pid, signal.SIGTERM)
    await asyncio.sleep(_pause_s(world, random))
    await _hit(world, world.postgres, signal.SIGTERM, random)


def backend(number: signal.Signals) -> Fault:
    """A signal to one backend of a collector; after SIGKILL PostgreSQL starts all of them anew."""

    async def inject(world: World, random: Random) -> None:
        pids: list[int] = []

        async def are_there() -> bool:
            pids[:] = await world.tables.backends()
            return bool(pids)

        await until(are_there, within_s=BACKEND_TIMEOUT_S)
        pid = random.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            if number == signal.SIGSTOP:
                await asyncio.sleep(_pause_s(world, random))
                os.kill(pid, signal.SIGCONT)

    return inject


async def pair(world: World, random: Random) -> None:
    """Two different parts at nearly the same moment, each by a signal of its own."""
    faults = []
    for part in random.sample(PARTS, 2):
        number = random.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP))
        faults.append((program if part in {"gateway", "collector"} else server)(part, number))

    async def later(fault: Fault) -> None:
        await asyncio.sleep(random.uniform(0, 0.3))
        await fault(world, random)

    await asyncio.gather(*map(later, faults))


def outage(role: str, seconds: float) -> Fault:
    """A server killed and left down for long, under load."""

    async def inject(world: World, random: Random) -> None:
        chosen = world.postgres if role == "postgres" else random.choice(world.nats)
        await asyncio.to_thread(chosen.kill)
        await asyncio.sleep(seconds)
        await start_again(chosen)

    return inject


async def disk_full(world: World, random: Random) -> None:
    """nats-server can't write a byte more (its file size limit is 0) for a while; then it is restarted with room.

    After a failed write a stream refuses all others until the server restarts, so an operator's restart belongs to it.
    """
    chosen = random.choice(world.nats)
    process = psutil.Process(chosen.pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
    try:
        await asyncio.sleep(SETTLE_S)
        before_it = await world.broker.last_sequences()
        await asyncio.sleep(random.uniform(1.0, 3.0))
        took = await world.broker.last_sequences() != before_it
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, before)
    await asyncio.to_thread(chosen.stop)
    await start_again(chosen)
    if took:
        raise FaultHadNoEffectError("the broker took messages while it could not write")


async def start_again(server: Server) -> None:
    """Start a server that has ended; tried again, as what it left may still be going."""
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            await asyncio.to_thread(server.start)
        except RuntimeError:
            if attempt == START_ATTEMPTS:
                raise
        else:
            return


async def _hit(world: World, chosen: Server, number: signal.Signals, random: Random) -> None:
    if number == signal.SIGSTOP:
        pause_s = _pause_s(world, random)
        await asyncio.to_thread(chosen.pause)
        await asyncio.sleep(pause_s)
        await asyncio.to_thread(chosen.resume)
        return
    await asyncio.to_thread(chosen.kill if number == signal.SIGKILL else chosen.stop)
    await asyncio.sleep(random.uniform(*DOWN_S))
    await start_again(chosen)


def _pause_s(world: World, random: Random) -> float:
    if world.is_brief:
        return random.uniform(*BRIEF_PAUSE_S)
    return LONG_PAUSE_S if random.random() < 0.2 else random.uniform(*PAUSE_S)
