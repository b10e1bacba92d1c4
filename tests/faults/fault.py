"""What a fault is to the suite."""

from collections.abc import Awaitable, Callable
from random import Random

from tests.faults.world import World

Fault = Callable[[World, Random], Awaitable[None]]
"""Injects one fault at once, and returns when its cause is mended. Randomness from the given source alone."""


class FaultHadNoEffectError(Exception):
    """The product never met the fault: the scenario proves nothing."""
