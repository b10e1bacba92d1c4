"""A store of its own, and batches to write with it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from collectors.batch import Batch, decode
from collectors.rows import RowBuilder
from collectors.store import Store
from shared.events import REGISTRY
from shared.metrics import CollectorMetrics
from tests.integration.collectors.rig import Rig
from tests.unit.collectors.samples import delivery_of, event

Events = Sequence[dict[str, Any]]


def a_batch(*messages: tuple[str, Events], source: str = "facebook") -> Batch:
    batch = Batch(max_events=1, max_bytes=1, max_age_s=1, clock=monotonic)
    builder = RowBuilder(REGISTRY[source])
    for sequence, (message_id, events) in enumerate(messages, start=1):
        batch.add(decode(delivery_of(events, message_id, sequence=sequence), builder))
    return batch


def events(*ids: str) -> list[dict[str, Any]]:
    return [event(event_id, amount="1.50") for event_id in ids]


@asynccontextmanager
async def a_store(collecting: Rig, source: str = "facebook") -> AsyncIterator[Store]:
    store = Store(source, collecting.database(), metrics=CollectorMetrics())
    await store.open()
    try:
        yield store
    finally:
        await store.close()
