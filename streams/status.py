"""What is on the server now, against what should be: for `python -m streams status`."""

from collections.abc import Sequence
from typing import Any

import nats.errors
from nats.js.errors import APIError, NotFoundError

from shared.errors import Retryable
from streams.backlog import read_backlog
from streams.connection import Connection
from streams.definitions import Definition


async def status(connection: Connection, wanted: Sequence[Definition]) -> list[dict[str, Any]]:
    """A dict a stream: what it holds, and how far its consumer is behind. Raises Retryable."""
    connection.require()
    rows = []
    for definition in wanted:
        try:
            info = await connection.jetstream.stream_info(definition.name)
        except NotFoundError:
            rows.append({"stream": definition.name, "exists": False})
            continue
        except (TimeoutError, APIError, nats.errors.Error, OSError) as error:
            raise Retryable(f"NATS can't be asked for its streams now: {error!r}") from error
        row: dict[str, Any] = {
            "stream": definition.name,
            "exists": True,
            "messages": info.state.messages,
            "bytes": info.state.bytes,
            "firstSeq": info.state.first_seq,
            "lastSeq": info.state.last_seq,
        }
        if definition.consumer is not None:
            row |= await _backlog(connection, definition.name)
        rows.append(row)
    return rows


async def _backlog(connection: Connection, stream: str) -> dict[str, Any]:
    """What the consumer has before it; None for each where it can't be read, as where the consumer is missing."""
    try:
        backlog = await read_backlog(connection, stream)
    except Retryable:
        return {"unstored": None, "oldestUnstoredSeconds": None, "limitShare": None}
    return {
        "unstored": backlog.messages,
        "oldestUnstoredSeconds": round(backlog.oldest_s, 1),
        "limitShare": round(backlog.share, 4),
    }
