"""What is in the streams after a run, and whether a database could hold it."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.events import REGISTRY
from shared.wire import EVENTS
from streams.subjects import Names

_AT_ONCE: Final = 500
_WITHIN_S: Final = 15.0


@dataclass
class Stored:
    """`events`: by the messages' headers. `odd`: what should never have been taken."""

    events: int = 0
    ids: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


async def stored(nats_url: str, names: Names) -> Stored:
    """Read the streams of all sources from their beginnings."""
    found = Stored()
    async for body, said in _messages(nats_url, names):
        found.events += said
        events = json.loads(body.decode())
        if len(events) != said:
            found.odd.append(f"a message says {said} events and has {len(events)}: {body[:300]!r}")
        for event in events:
            found.ids.append(event["eventId"])
            if not _is_storable(event):
                found.odd.append(f"no database holds this: {event!r}"[:500])
    return found


async def _messages(nats_url: str, names: Names) -> AsyncIterator[tuple[bytes, int]]:
    client = await nats.connect(nats_url)
    try:
        jetstream = client.jetstream()
        for source in REGISTRY.sources:
            stream = names.stream(source)
            left = (await jetstream.stream_info(stream)).state.messages
            config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, mem_storage=True)
            consumer = await jetstream.add_consumer(stream, config)
            pull = await jetstream.pull_subscribe_bind(consumer.name, stream)
            while left:
                messages: Sequence[Any] = await pull.fetch(min(left, _AT_ONCE), timeout=_WITHIN_S)
                left -= len(messages)
                for message in messages:
                    yield message.data, int(message.headers[EVENTS])
    finally:
        await client.close()


def _is_storable(value: Any) -> bool:
    """Whether no text in it has a NUL or a lone surrogate."""
    if isinstance(value, str):
        return _is_unicode(value)
    if isinstance(value, dict):
        return all(_is_storable(name) and _is_storable(inner) for name, inner in value.items())
    return not isinstance(value, list) or all(map(_is_storable, value))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
