"""How much room our streams take, and how much there is.

A source's stream is full by design: at its limits the oldest messages go, which are stored. The dead letters' is not:
at its limit it refuses, and the collectors wait (`Pressure`).
"""

from collections.abc import Sequence

import nats.errors
from nats.js.errors import APIError

from shared.logs import Logger
from shared.metrics import CollectorMetrics
from streams.connection import Connection


class StreamUsage:
    """Reads the size of some streams into the metrics."""

    def __init__(
        self, connection: Connection, streams: Sequence[str], *, log: Logger, metrics: CollectorMetrics
    ) -> None:
        self._connection = connection
        self._streams = streams
        self._log = log
        self._metrics = metrics

    async def look(self) -> None:
        """Ask the broker once. Never raises: a stream that can't be asked for is logged, and keeps its last figures."""
        if not self._connection.is_connected:
            return
        for stream in self._streams:
            try:
                info = await self._connection.jetstream.stream_info(stream)
            except (TimeoutError, APIError, nats.errors.Error, OSError) as error:
                self._log.warning("stream_usage_unreadable", stream=stream, error=repr(error))
                continue
            self._metrics.stream_messages.labels(stream).set(info.state.messages)
            self._metrics.stream_bytes.labels(stream).set(info.state.bytes)
            if (limit := info.config.max_bytes) is not None and limit > 0:
                self._metrics.stream_limit_bytes.labels(stream).set(limit)
