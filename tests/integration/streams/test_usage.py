"""The room that streams take, as the metrics tell it."""

from typing import Any

import pytest

from shared.logs import Logger
from shared.metrics import CollectorMetrics
from streams.connection import Connection
from streams.definitions import DEAD_LETTERS_MAX_BYTES
from streams.subjects import Names
from streams.usage import StreamUsage
from tests.integration.streams.conftest import SOURCE


@pytest.mark.usefixtures("streams")
async def test_each_stream_tells_what_it_holds_and_may_hold_and_one_that_is_missing_hides_no_other(
    connection: Connection, names: Names, log: Logger, logged: list[dict[str, Any]]
) -> None:
    for _ in range(3):
        await connection.jetstream.publish(names.events(SOURCE), b"[]")
    metrics = CollectorMetrics()
    watched = [names.stream("nobody"), names.stream(SOURCE), names.dead_letters_stream]
    await StreamUsage(connection, watched, log=log, metrics=metrics).look()

    def value(name: str, stream: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"stream": stream})

    assert value("nats_stream_messages", names.stream(SOURCE)) == 3
    assert (value("nats_stream_bytes", names.stream(SOURCE)) or 0) > 0
    assert value("nats_stream_limit_bytes", names.stream(SOURCE)) == 16 * 1024**2
    assert value("nats_stream_messages", names.dead_letters_stream) == 0
    assert value("nats_stream_limit_bytes", names.dead_letters_stream) == DEAD_LETTERS_MAX_BYTES
    assert value("nats_stream_messages", names.stream("nobody")) is None
    assert [entry["stream"] for entry in logged if entry["event"] == "stream_usage_unreadable"] == [
        names.stream("nobody")
    ]
