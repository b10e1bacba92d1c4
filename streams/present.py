"""Which streams of a source the server has: those that its events go to, and retired ones.

A stream is retired once PARTITIONS no longer counts it. Nothing removes it: what it holds unread is still
stored, what it holds for replay can still be replayed, and when it has served is for a person to say.

Invariant: every stream of a source belongs to one collector pool, a retired one too (`pool_of`), so a change
of PARTITIONS leaves no message without a reader.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import nats.errors
from nats.js.errors import APIError

from shared.errors import Retryable
from streams.connection import API_TIMEOUT_S, Connection
from streams.partitions import Partition
from streams.subjects import Names

_STREAM_NAMES: Final = "STREAM.NAMES"


class _Names(msgspec.Struct):
    """io.nats.jetstream.api.v1.stream_names_response, as far as it is needed."""

    error: dict[str, Any] | None = None
    streams: list[str] | None = None
    total: int = 0


_decode: Final = msgspec.json.Decoder(_Names).decode


async def present(connection: Connection, names: Names, source: str) -> list[Partition]:
    """The streams of a source that are on the server, by number. Raises Retryable where it can't be asked."""
    connection.require()
    found: list[str] = []
    try:
        while True:
            # A filter finds every stream with a subject that collides with it.
            request = {"subject": f"{names.events(source)}.>", "offset": len(found)}
            subject = connection.api(_STREAM_NAMES)
            answer = await connection.client.request(subject, msgspec.json.encode(request), timeout=API_TIMEOUT_S)
            page = _decode(answer.data)
            if page.error is not None:
                raise APIError.from_error(page.error)
            found += page.streams or []
            if not page.streams or len(found) >= page.total:
                break
    except (TimeoutError, APIError, nats.errors.Error, OSError) as error:
        raise Retryable(f"NATS can't be asked for its streams now: {error!r}") from error
    partitions = [partition for stream in found if (partition := names.parse(source, stream)) is not None]
    return sorted(partitions, key=lambda partition: (partition.number, partition.stream))


async def retired(connection: Connection, names: Names, sources: Iterable[str]) -> list[Partition]:
    """The streams of these sources that are on the server and get no more events. Raises Retryable."""
    return [
        partition
        for source in sources
        for partition in await present(connection, names, source)
        if partition not in names.of(source)
    ]


def pool_of(partition: Partition, partitions: int) -> int:
    """The number of the collector pool that reads a stream, of as many pools as there are partitions now."""
    return partition.number % partitions
