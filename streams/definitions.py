"""Streams and consumers as data.

A source's stream keeps its newest messages up to its limits, stored ones too, for replay. Dead letters
are never evicted: a full stream refuses more, and the collector waits (`Pressure`) rather than lose one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from streams.partitions import Partition
from streams.settings import StreamSettings
from streams.subjects import COLLECTOR

DUPLICATE_WINDOW_S: Final = 120.0
"""NATS' default, stated: our last attempt to publish a message comes well within it of the first."""

DEAD_LETTERS_MAX_BYTES: Final = 2 * 1024**3
RECEIPTS_MAX_BYTES: Final = 1024**3

CREATED_BY: Final = {"created-by": "floodgate"}


@dataclass(frozen=True, slots=True)
class Definition:
    """A stream, with its durable consumer where it has one. One that is retired is kept, and never made anew."""

    stream: StreamConfig
    consumer: ConsumerConfig | None = None
    is_retired: bool = False

    @property
    def name(self) -> str:
        """The stream's name."""
        return str(self.stream.name)


def definitions(sources: Iterable[str], settings: StreamSettings) -> list[Definition]:
    """All that Floodgate needs of a JetStream server."""
    names = settings.names
    return [
        *(definition(partition, settings) for source in sources for partition in names.of(source)),
        Definition(
            _stream(
                names.dead_letters_stream,
                [names.dead_letters()],
                "Events that could not be stored, with the reason",
                settings,
                max_bytes=DEAD_LETTERS_MAX_BYTES,
                discard=DiscardPolicy.NEW,
            )
        ),
        Definition(
            _stream(
                names.receipts_stream,
                [names.receipts()],
                "What was accepted, by request",
                settings,
                max_bytes=RECEIPTS_MAX_BYTES,
                max_age=settings.max_age_ms / 1_000,
            )
        ),
    ]


def definition(partition: Partition, settings: StreamSettings, *, is_retired: bool = False) -> Definition:
    """A stream of a source, with its consumer."""
    stream = _stream(
        partition.stream,
        [partition.events, partition.grouped],
        f"Accepted events of {partition.label}, in batches",
        settings,
        max_msgs=settings.max_messages,
        max_bytes=settings.max_bytes,
        max_age=settings.max_age_ms / 1_000,
    )
    return Definition(stream, consumer(settings), is_retired)


def consumer(settings: StreamSettings) -> ConsumerConfig:
    """The durable pull consumer that all replicas of a collector share.

    Deliveries are unlimited: only a commit or a durable dead letter ends a message.
    """
    return ConsumerConfig(
        durable_name=COLLECTOR,
        description="Stores the events in PostgreSQL",
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=settings.ack_wait_ms / 1_000,
        max_deliver=-1,
        max_ack_pending=settings.max_ack_pending,
        metadata=dict(CREATED_BY),
    )


def _stream(
    name: str,
    subjects: list[str],
    description: str,
    settings: StreamSettings,
    *,
    max_bytes: int,
    max_msgs: int = -1,
    max_age: float = 0,
    discard: DiscardPolicy = DiscardPolicy.OLD,
) -> StreamConfig:
    return StreamConfig(
        name=name,
        description=description,
        subjects=subjects,
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=discard,
        max_msgs=max_msgs,
        max_bytes=max_bytes,
        max_age=max_age,
        # The server demands a window no longer than the age limit.
        duplicate_window=min(DUPLICATE_WINDOW_S, max_age or DUPLICATE_WINDOW_S),
        num_replicas=settings.replicas,
        allow_direct=True,
        metadata=dict(CREATED_BY),
    )
