"""Put dead letters through once more: validate, publish to their source's stream, remove.

Invariant: a dead letter is removed only after all of its events are durable in their stream. One that can't
be taken, or only in part, stays, and what is in the way is said.

Each event goes as a message of its own, under an id that is derived from the message it first came in and
its place there (`streams.message_ids`). Put together, the ids would depend on which letters happened to be
left; one by one they are the same in every run, so a second run, or one after a crash between publishing
and removing, doubles nothing: the broker drops the copy, or the tables and the ledger do. It costs little,
since each letter is removed by a request of its own anyway.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from shared.events import EventValidator, Rejection
from shared.wire import MessageHeaders, encode_body
from streams.message_ids import revival_id
from streams.parked import ParkedLetter, ParkedLetters
from streams.partitions import Partition, Partitions
from streams.publisher import Publisher

CHUNK_EVENTS: Final = 128
"""Events of one dead letter on their way at once."""

MAX_TOLD: Final = 3
"""Refused events of one dead letter that are told one by one; all are counted."""

_decode_slices: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(slots=True)
class Revived:
    """What became of a dead letter: how many of its events are in their stream now, by stream, and what is not.

    `problems` is capped, `refused` is not.
    """

    letter: ParkedLetter
    published: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left of it."""
        return not self.refused

    def refuse(self, problem: str) -> None:
        """Count what can't be taken, and say why while there is room."""
        self.refused += 1
        if len(self.problems) < MAX_TOLD:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class _Event:
    index: int
    body: bytes
    correlation_id: str


class Revival:
    """Puts dead letters through. With `dry_run` it only validates."""

    def __init__(
        self,
        *,
        letters: ParkedLetters,
        publisher: Publisher,
        validator: EventValidator,
        partitions: Partitions,
        dry_run: bool = False,
    ) -> None:
        self._letters = letters
        self._publisher = publisher
        self._validator = validator
        self._partitions = partitions
        self._dry_run = dry_run

    async def revive(self, letter: ParkedLetter) -> Revived:
        """Put one through. Raises Retryable where JetStream does not take it: the letter is still there then."""
        revived = Revived(letter)
        events = self._events(revived)
        while chunk := list(self._valid(events, revived, CHUNK_EVENTS)):
            if not self._dry_run:
                await asyncio.gather(*(self._publish(letter, event, to) for event, to in chunk))
            for _, to in chunk:
                revived.published[to.stream] = revived.published.get(to.stream, 0) + 1
        if revived.is_done and not self._dry_run:
            await self._letters.remove(letter, erase=False)  # its events live on
        return revived

    def _events(self, revived: Revived) -> Iterator[_Event]:
        """Its events, as many as can be told apart."""
        letter = revived.letter
        if letter.cut_from_bytes is not None:
            revived.refuse(f"its end was cut off: {len(letter.body)} of {letter.cut_from_bytes} bytes are here")
            return
        if not letter.is_message:
            yield _Event(letter.index, letter.body, letter.correlation_id)
            return
        try:
            slices: Sequence[msgspec.Raw] = _decode_slices(letter.body)
        except (msgspec.MsgspecError, RecursionError) as error:
            revived.refuse(f"its body is no array of events: {error}")
            return
        correlation_ids = letter.correlation_id.split(" ")  # several, where single events shared a message
        if len(correlation_ids) not in {1, len(slices)}:
            revived.refuse(f"it holds {len(slices)} events of {len(correlation_ids)} requests: whose is which is lost")
            return
        if not slices:
            revived.refuse("its body is an empty array")
        for index, event in enumerate(slices):
            yield _Event(index, bytes(event), correlation_ids[index if len(correlation_ids) > 1 else 0])

    def _valid(self, events: Iterator[_Event], revived: Revived, most: int) -> Iterator[tuple[_Event, Partition]]:
        """The next ones that are valid, with where they go; the others are refused."""
        taken = 0
        for event in events:
            verdict = self._validator.validate(event.body)
            if isinstance(verdict, Rejection):
                problem = verdict.problems[0]
                place = f"event {event.index}: " if revived.letter.is_message else ""
                revived.refuse(f"{place}{problem.field + ': ' if problem.field else ''}{problem.message}")
                continue
            yield event, self._partitions.of(verdict)
            taken += 1
            if taken == most:
                return

    async def _publish(self, letter: ParkedLetter, event: _Event, to: Partition) -> None:
        headers = MessageHeaders(
            message_id=revival_id(letter.origin_id, event.index),
            correlation_id=event.correlation_id,
            events=1,
            received_at=_received_at(letter),
        )
        await self._publisher.publish(to.events, encode_body([event.body]), headers.encode())


def _received_at(letter: ParkedLetter) -> datetime:
    """When the gateway received it; when it was parked where that is not known."""
    try:
        received_at = datetime.fromisoformat(letter.received_at or "")
    except ValueError:
        return letter.parked_at
    return received_at if received_at.tzinfo is not None else letter.parked_at
