"""Seeded events, batch by batch.

Invariant: the same plan gives the same bytes each time it is walked, with exactly `plan.invalid` invalid
events and exactly `plan.duplicates` repetitions of valid events that came before them, and no more than one
batch and `_REMEMBERED` events are ever in memory.
"""

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from loadtest.corruptions import CORRUPTIONS, corrupt
from loadtest.platforms import PLATFORMS, Shape

# How far back a duplicate reaches, in events: over the request before, which is often still in flight.
_REMEMBERED: Final = 2048
# Top of the funnel to bottom, as the platforms see it.
_TOP_PER_BOTTOM: Final = 3
_RECENT_S: Final = 1008
_LATE: Final = 16  # of 1024: senders deliver some events days late
_MILLIS: Final = tuple(f"{n % 1000:03d}Z" for n in range(1024))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to generate; shares are of `total`, 0 to 1. An impossible plan raises ValueError, for a person.

    Every event happened before `start` (with an offset): fix it too to have the same bytes on another day.
    """

    total: int
    batch: int = 1000
    invalid_share: float = 0.0
    duplicates_share: float = 0.0
    sources: Sequence[str] = tuple(PLATFORMS)
    seed: int = 0
    start: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if self.total < 1 or self.batch < 1:
            raise ValueError(f"total {self.total} and batch {self.batch}: both take a number from 1")
        unknown = [source for source in self.sources if source not in PLATFORMS]
        if unknown or not self.sources:
            known = ", ".join(PLATFORMS)
            raise ValueError(f"sources {','.join(self.sources)!r}: takes one or more of {known}")
        for name, share in (("invalid", self.invalid_share), ("duplicates", self.duplicates_share)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} {share}: a share takes a number from 0 to 1")
        if self.invalid + self.duplicates > self.total - (1 if self.duplicates else 0):
            raise ValueError(
                f"{self.invalid} invalid and {self.duplicates} duplicates of {self.total} events leave "
                "no valid event to repeat: lower one of the shares"
            )

    @property
    def invalid(self) -> int:
        """Events that will be refused."""
        return round(self.total * self.invalid_share)

    @property
    def duplicates(self) -> int:
        """Valid events that repeat an earlier one."""
        return round(self.total * self.duplicates_share)

    @property
    def valid(self) -> int:
        """Events that will be accepted, duplicates included."""
        return self.total - self.invalid

    @property
    def unique(self) -> int:
        """Rows that will be there in the end."""
        return self.valid - self.duplicates

    @property
    def requests(self) -> int:
        """Batches the plan falls into; the last may be short."""
        return -(-self.total // self.batch)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events as JSON texts; `invalid`: index → name of the corruption; `repeated`: indexes of duplicates."""

    number: int
    events: Sequence[str]
    invalid: Mapping[int, str]
    repeated: Sequence[int]

    def array(self) -> bytes:
        """The body most senders post: a bare JSON array."""
        return f"[{','.join(self.events)}]".encode()

    def members(self) -> bytes:
        """The events joined by commas, without the brackets: a piece of a longer array."""
        return ",".join(self.events).encode()

    def ndjson(self) -> bytes:
        """One event a line."""
        return ("\n".join(self.events) + "\n").encode()


def batches(plan: Plan) -> Iterator[Batch]:
    """The plan's batches in order, each made when it is asked for. Restarts from the seed with each call."""
    rng = random.Random(plan.seed)
    shapes = _shapes(plan.sources)
    seconds = _seconds(plan.start)
    spoiler = _Spoiler(plan, rng, seconds) if plan.invalid or plan.duplicates else None
    for number in range(plan.requests):
        size = min(plan.batch, plan.total - number * plan.batch)
        events = _fresh(rng, shapes, seconds, size)
        invalid, repeated = spoiler.overlay(events) if spoiler else ({}, [])
        yield Batch(number, events, invalid, repeated)


class _Spoiler:
    """Replaces some fresh events by invalid ones and duplicates, so that the counts come out exact.

    Selection sampling (Knuth, volume 2, algorithm S): each position is taken with the chance
    "still wanted / still to come", which is even over the run and exact at its end.
    """

    def __init__(self, plan: Plan, rng: random.Random, seconds: Sequence[str]) -> None:
        self._rng = rng
        self._seconds = seconds
        self._platforms = tuple(PLATFORMS[source] for source in plan.sources)
        self._left = plan.total
        self._invalid_left = plan.invalid
        self._duplicates_left = plan.duplicates
        self._spoiled = 0
        self._remembered: list[str] = []
        self._oldest = 0

    def overlay(self, events: list[str]) -> tuple[dict[int, str], list[int]]:
        """Changes `events` in place; returns the corruptions' names by index, and the duplicates' indexes."""
        invalid: dict[int, str] = {}
        repeated: list[int] = []
        for index, event in enumerate(events):
            draw = self._rng.random() * self._left
            self._left -= 1
            if draw < self._invalid_left:
                self._invalid_left -= 1
                events[index], invalid[index] = self._invalid()
            elif draw < self._invalid_left + self._duplicates_left and self._remembered:
                self._duplicates_left -= 1
                events[index] = self._rng.choice(self._remembered)
                repeated.append(index)
            elif self._duplicates_left:
                self._remember(event)
        return invalid, repeated

    def _invalid(self) -> tuple[str, str]:
        # Corruptions take turns first and platforms second, so every pair comes up.
        turn, at = divmod(self._spoiled, len(CORRUPTIONS))
        self._spoiled += 1
        corruption = CORRUPTIONS[at]
        platform = self._platforms[(turn + at) % len(self._platforms)]
        shape = platform.bottom if corruption.stage == "bottom" else platform.top
        [text] = _fresh(self._rng, (shape,), self._seconds, 1)
        return corrupt(text, corruption, platform), corruption.name

    def _remember(self, event: str) -> None:
        if len(self._remembered) < _REMEMBERED:
            self._remembered.append(event)
        else:
            self._remembered[self._oldest] = event
            self._oldest = (self._oldest + 1) % _REMEMBERED


def _fresh(rng: random.Random, shapes: Sequence[Shape], seconds: Sequence[str], size: int) -> list[str]:
    """`size` valid events. All randomness of a batch is drawn at once: two calls instead of many an event."""
    digits = rng.randbytes(32 * size).hex()
    draws = struct.unpack(f"<{2 * size}Q", rng.randbytes(16 * size))
    count = len(shapes)
    millis = _MILLIS
    events = []
    at = 0
    for index in range(size):
        bits = draws[2 * index]
        more = draws[2 * index + 1]
        second = seconds[more >> 20 & 1023]
        events.append(
            shapes[(more >> 32) % count](
                bits,
                # Version 4 and the usual variant, as uuid4 has them.
                f"{digits[at : at + 8]}-{digits[at + 8 : at + 12]}-4{digits[at + 13 : at + 16]}"
                f"-a{digits[at + 17 : at + 20]}-{digits[at + 20 : at + 32]}",
                f"{digits[at + 32 : at + 40]}-{digits[at + 40 : at + 44]}-4{digits[at + 45 : at + 48]}"
                f"-a{digits[at + 49 : at + 52]}-{digits[at + 52 : at + 64]}",
                second + millis[more & 1023],
                second + millis[more >> 10 & 1023],
            )
        )
        at += 64
    return events


def _shapes(sources: Sequence[str]) -> tuple[Shape, ...]:
    platforms = [PLATFORMS[source] for source in sources]
    return tuple(shape for p in platforms for shape in (*[p.top] * _TOP_PER_BOTTOM, p.bottom))


def _seconds(start: datetime) -> tuple[str, ...]:
    """1024 seconds before `start`, as "2026-01-25T17:31:13.": most within 17 minutes, a few days late."""
    start = start.astimezone(UTC)
    recent = [start - timedelta(seconds=1 + s) for s in range(_RECENT_S)]
    late = [start - timedelta(hours=9 * (n + 1), seconds=n) for n in range(_LATE)]
    return tuple(f"{moment:%Y-%m-%dT%H:%M:%S}." for moment in recent + late)
