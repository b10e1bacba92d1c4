"""Faults of the network: every link cut, reset, slow, or half-open for a while; and senders that hang up."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from tests.faults.fault import Fault
from tests.faults.world import World

BROKEN_S: Final = (0.3, 2.0)
FROZEN_S: Final = (1.0, 5.0)
"""Beyond two pings (a second each here), so that a half-open connection is also found out."""
BRIEF_FROZEN_S: Final = (1.0, 2.2)
"""In the short form."""
DELAY_S: Final = (0.05, 0.4)
DROPS: Final = 6


def cut(name: str) -> Fault:
    """All connections broken, new ones too, for a while."""

    async def inject(world: World, random: Random) -> None:
        async with world.links[name].cut():
            await asyncio.sleep(random.uniform(*BROKEN_S))

    return inject


def reset(name: str) -> Fault:
    """All connections broken by RST, once or a few times in a row."""

    async def inject(world: World, random: Random) -> None:
        for _ in range(random.randint(1, 3)):
            world.links[name].reset()
            await asyncio.sleep(random.uniform(0.0, 0.5))

    return inject


def slow(name: str) -> Fault:
    """Every piece held back, each way."""

    async def inject(world: World, random: Random) -> None:
        async with world.links[name].delayed(random.uniform(*DELAY_S)):
            await asyncio.sleep(_frozen_s(world, random))

    return inject


def half_open(name: str) -> Fault:
    """Connections that stay open and carry nothing; afterwards they go on, or are reset."""

    async def inject(world: World, random: Random) -> None:
        async with world.links[name].frozen(reset_after=random.random() < 0.5):
            await asyncio.sleep(_frozen_s(world, random))

    return inject


def _frozen_s(world: World, random: Random) -> float:
    return random.uniform(*(BRIEF_FROZEN_S if world.is_brief else FROZEN_S))


KINDS: Final[dict[str, Callable[[str], Fault]]] = {
    "cut": cut,
    "reset": reset,
    "slow": slow,
    "half-open": half_open,
}
