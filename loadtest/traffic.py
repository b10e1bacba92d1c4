"""The plan's batches as requests to send.

Invariant: a request's body is made when it is sent. Of many requests only those in flight are in memory; a single
request is streamed batch by batch, so it never is as a whole.
"""

import uuid
from collections.abc import AsyncIterator, Iterator

from loadtest.generator import Batch, Plan, batches
from loadtest.sender import Outgoing


def requests_of(plan: Plan, *, single_request: bool) -> Iterator[Outgoing]:
    """One request a batch, or one with all of them. Each has a correlation id of its own, new with every call."""
    if single_request:
        yield Outgoing(
            correlation_id=str(uuid.uuid4()),
            events=plan.total,
            invalid=plan.invalid,
            repeated=plan.duplicates,
            body=lambda: _streamed(plan),
        )
        return
    for batch in batches(plan):
        yield _one(batch)


def _one(batch: Batch) -> Outgoing:
    body = batch.array()
    return Outgoing(
        # Not from the seed: receipts add up all requests of one id, and a seed may run twice.
        correlation_id=str(uuid.uuid4()),
        events=len(batch.events),
        invalid=len(batch.invalid),
        repeated=len(batch.repeated),
        body=lambda: body,
    )


async def _streamed(plan: Plan) -> AsyncIterator[bytes]:
    for batch in batches(plan):
        yield (b"," if batch.number else b"[") + batch.members()
    yield b"]"
