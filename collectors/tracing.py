"""The spans of a flush, and what they say. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from collectors.batch import Batch
from shared.tracing import Attributes
from shared.wire import NO_TRACE, TRACEPARENT
from streams.dead_letter import DeadLetter

DEAD_LETTERED: Final = "floodgate.dead_lettered"


def contexts(batch: Batch) -> Iterator[str]:
    """The trace contexts of the batch's requests: one a message, of a group one an event. Lazy."""
    for delivery in batch.deliveries:
        for context in delivery.headers.get(TRACEPARENT, "").split(" "):
            if context and context != NO_TRACE:
                yield context


def flush(batch: Batch) -> Attributes:
    """Of the flush as a whole."""
    return {
        "messaging.system": "nats",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": batch.messages[0].delivery.stream,
        "messaging.batch.message_count": len(batch.messages),
        "floodgate.events": batch.events,
        "floodgate.body.bytes": batch.body_bytes,
    }


def commit(batch: Batch) -> Attributes:
    """Of its transaction."""
    return {
        "db.system.name": "postgresql",
        "db.operation.name": "COMMIT",
        "db.operation.batch.size": batch.events,
    }


def dead_by_reason(letters: Iterable[DeadLetter]) -> dict[str, int]:
    """How many events were dead-lettered for which reason; never which."""
    found: Counter[str] = Counter()
    for letter in letters:
        found[letter.reason.value] += letter.events
    return dict(found)
