"""A source with three streams: a rig, gateways that publish to it, and a look into each stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import pytest

from collectors import worker
from streams.partitions import partition_of
from streams.reader import StoredMessage, StreamReader
from tests.integration.collectors.rig import Rig, rig
from tests.integration.gateway.conftest import Running, start_gateway

PARTITIONS = 3

StartGateway = Callable[..., Awaitable[Running]]


@pytest.fixture(autouse=True)
def stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector without work sees a signal to stop after one wait for a message: keep that short here."""
    monkeypatch.setattr(worker, "MAX_WAIT_S", 0.05)


@pytest.fixture
async def parted(nats_url: str, database_url: str) -> AsyncIterator[Rig]:
    """Streams, three a source, and tables of this test's own."""
    async with rig(nats_url, database_url, partitions=PARTITIONS) as made:
        yield made


@pytest.fixture
async def start(parted: Rig) -> AsyncIterator[StartGateway]:
    """Starts gateways that publish to the rig's streams, as many as it has then."""
    async with AsyncExitStack() as stack:

        async def starter(**changes: Any) -> Running:
            streams = parted.streams()
            usual = {
                "prefix": streams.prefix, "partitions": streams.partitions, "max_bytes": streams.max_bytes,
                "database_url": parted.database_url, "keep": True,
            }  # fmt: skip
            return await start_gateway(stack, parted.nats_url, **(usual | changes))

        yield starter


def ids_of(partition: int, partitions: int = PARTITIONS) -> Iterator[str]:
    """Event ids that belong to a partition, without end."""
    return (event_id for number in count() if partition_of(event_id := f"e-{number}", partitions) == partition)


async def held(parted: Rig, stream: str) -> list[StoredMessage]:
    """All messages of a stream, oldest first."""
    reader = StreamReader(parted.connection, stream)
    return [message async for message in reader.messages(*await reader.span())]


async def held_ids(parted: Rig, stream: str) -> list[str]:
    """The ids of all events in a stream."""
    return [event["eventId"] for message in await held(parted, stream) for event in json.loads(message.body)]


async def receipt(gateway: Running, correlation_id: str) -> dict[str, Any]:
    """The receipt of a request."""
    answer = await gateway.get(f"/webhook/events/bulk/{correlation_id}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def all_of(*coroutines: Any) -> list[Any]:
    """At the same time."""
    return await asyncio.gather(*coroutines)
