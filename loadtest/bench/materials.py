"""The same events in every form that a ceiling takes: bodies, messages, rows. Made before any clock starts.

Invariant: all forms hold the same valid events, made by the product's own code with its own defaults, so a ceiling
does the work of the product and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from collectors.rows import EventRows, RowBuilder
from collectors.settings import CollectorSettings
from gateway.batching import Batcher
from loadtest.generator import Plan, batches
from shared.events import REGISTRY, EventValidator, Rejection
from shared.wire import MessageHeaders
from streams.settings import PublishSettings
from streams.subjects import Names

MAX_EVENT_BYTES: Final = 1024 * 1024
_MAX_BODY_BYTES: Final = 1_000_000

MESSAGE_EVENTS: Final[int] = PublishSettings.model_fields["batch_events"].default
FLUSH_EVENTS: Final[int] = CollectorSettings.model_fields["flush_events"].default


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the gateway publishes it."""

    source: str
    body: bytes
    headers: MessageHeaders


@dataclass(frozen=True, slots=True)
class Materials:
    """Bodies of requests, messages in the order a gateway would send them, and the number of events in all."""

    events: int
    bodies: Sequence[bytes]
    messages: Sequence[Message]


def make(events: int, *, body_events: int, seed: int) -> Materials:
    """All valid, both platforms. Blocks for about 10 µs an event."""
    validator = EventValidator(max_event_bytes=MAX_EVENT_BYTES)
    partitions = Names().all(REGISTRY.sources)
    bodies: list[bytes] = []
    messages: list[Message] = []
    for batch in batches(Plan(total=events, batch=body_events, seed=seed)):
        bodies.append(batch.array())
        batcher = Batcher(max_events=MESSAGE_EVENTS, max_body_bytes=_MAX_BODY_BYTES)
        full = []
        for index, text in enumerate(batch.events):
            event = text.encode()
            verdict = validator.validate(event)
            if isinstance(verdict, Rejection):
                raise ValueError(f"the generator made an invalid event: {verdict}")  # noqa: TRY004 - of its value
            full.append(batcher.add(partitions.of(verdict), index, event))
        for made in [one for one in full if one is not None] + list(batcher.rest()):
            headers = MessageHeaders(
                message_id=f"bench-{seed}-{len(messages)}",
                correlation_id=f"bench-{seed}-{batch.number}",
                events=len(made.events),
                received_at=datetime.now(UTC),
            )
            messages.append(Message(made.source, made.body(), headers))
    return Materials(events, bodies, messages)


def builders() -> Mapping[str, RowBuilder]:
    """A builder for each source."""
    return {platform.source: RowBuilder(platform) for platform in REGISTRY}


def flushes(messages: Sequence[Message]) -> dict[str, list[list[EventRows]]]:
    """The rows of all messages, by source, in flushes of the size the collectors take. Blocks for 5 µs an event."""
    built = builders()
    found: dict[str, list[list[EventRows]]] = {source: [[]] for source in built}
    for message in messages:
        last = found[message.source][-1]
        if len(last) >= FLUSH_EVENTS:
            last = []
            found[message.source].append(last)
        last.extend(built[message.source].build(message.body, message.headers))
    return {source: [flush for flush in made if flush] for source, made in found.items()}
