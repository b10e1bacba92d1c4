"""What was sent and what was answered: one side of the settlement.

Invariant: an event is noted before its first byte is sent, so whatever turns up stored and is not in here was never
sent. Pure: no clock, no I/O.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import orjson

from loadtest.generator import Batch


class Fact(NamedTuple):
    """What the tables have to say of an event that was sent. `digest`: MD5 of the text of `data`, in hex."""

    source: str
    user_id: str
    amount: Decimal | None
    digest: str


@dataclass(slots=True)
class Request:
    """One request by its correlation id, over all its attempts; `events` are the ids of its valid ones."""

    events: tuple[str, ...]
    attempts: int = 0
    processed: int = 0
    """Events that its answers, of whatever status, said were taken; twice where two attempts took them."""
    acknowledged: bool = False


@dataclass(slots=True)
class Ledger:
    """All requests of a phase, and the facts of their events."""

    facts: dict[str, Fact] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)

    def sending(self, correlation_id: str, batch: Batch) -> None:
        """A request is about to be sent for the first time."""
        valid = [event for index, event in enumerate(batch.events) if index not in batch.invalid]
        ids = []
        for text in valid:
            event_id, fact = fact_of(text)
            self.facts[event_id] = fact
            ids.append(event_id)
        self.requests[correlation_id] = Request(tuple(ids))

    def answered(self, correlation_id: str, *, status: int | None, processed: int) -> None:
        """An attempt ended: with an answer, or (None) without one."""
        request = self.requests[correlation_id]
        request.attempts += 1
        request.processed += processed
        request.acknowledged = request.acknowledged or status == 200

    @property
    def acknowledged(self) -> set[str]:
        """Events of a 2xx."""
        return set(self._of(request for request in self.requests.values() if request.acknowledged))

    @property
    def outstanding(self) -> int:
        """Requests without a 2xx so far."""
        return sum(not request.acknowledged for request in self.requests.values())

    @staticmethod
    def _of(requests: Iterable[Request]) -> Iterable[str]:
        for request in requests:
            yield from request.events


def fact_of(text: str) -> tuple[str, Fact]:
    """A valid event's id, and what the tables must say of it."""
    event = orjson.loads(text)
    data = text[text.index('"data":') + len('"data":') : -1]
    amount = event["data"]["engagement"].get("purchaseAmount")
    return event["eventId"], Fact(
        event["source"],
        event["data"]["user"]["userId"],
        Decimal(amount) if amount is not None else None,
        hashlib.md5(data.encode(), usedforsecurity=False).hexdigest(),
    )
