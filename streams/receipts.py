"""What was accepted, by request: the gateway's half of a receipt, kept in JetStream.

Invariant: the record of a request is durable before the request is answered with 2xx. The other half,
what became of the events, is the ledger table `batches`; `gateway.receipts` joins the two.

Single events have no record of their own, as that would cost as much as the event: the group message they
are in names their correlation ids, and is looked for among the unread messages (`unread_singles`).

A record names the messages that were not acknowledged in time (`unconfirmed`): these may have become
durable all the same, and if the ledger later shows one, the receipt counts it as accepted.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import nats.errors
from nats.js.errors import APIError, NotFoundError

from shared.errors import FloodgateError, Retryable
from shared.outcomes import PublishFailure
from shared.wire import CORRELATION_ID, MESSAGE_ID, ungroup
from streams.connection import Connection
from streams.partitions import Partition
from streams.present import present
from streams.publisher import Publisher
from streams.subjects import COLLECTOR, Names

MAX_RECORDS: Final = 1_000
"""Requests of one correlation id that a receipt sums, at most; reading is one round trip each."""

MAX_GROUPS: Final = 500
"""Unread groups that are looked through for one correlation id; there are a few, unless collectors are down."""


class TooMany(FloodgateError):
    """A correlation id was used so often that no receipt sums it. The text says for how much of what."""


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One request: its id (the first part of its messages' ids), and events by source."""

    request_id: str
    correlation_id: str
    received_at: str
    accepted: Mapping[str, int]
    failed: int
    unconfirmed: Sequence[str] = ()


class Receipts:
    """Writes and reads request records."""

    def __init__(self, connection: Connection, publisher: Publisher, names: Names) -> None:
        self._connection = connection
        self._publisher = publisher
        self._names = names
        self._decode = msgspec.json.Decoder(RequestRecord).decode
        self._encode = msgspec.json.Encoder().encode

    async def write(
        self, record: RequestRecord, *, given_up: Callable[[], PublishFailure | None] = lambda: None
    ) -> None:
        """Make a record durable; `given_up` as for `Publisher.publish`. Raises NotDurable."""
        subject = self._names.receipts(record.correlation_id)
        await self._publisher.publish(subject, self._encode(record), {MESSAGE_ID: record.request_id}, given_up=given_up)

    async def read(self, correlation_id: str) -> list[RequestRecord]:
        """The records of a correlation id, oldest first; [] where there is none.

        Raises TooMany where there are more than MAX_RECORDS: some of them would tell of nothing that is pending in the
        others. Raises Retryable where the broker can't be asked.
        """
        self._connection.require()
        jetstream = self._connection.jetstream
        subject, stream = self._names.receipts(correlation_id), self._names.receipts_stream
        records: list[RequestRecord] = []
        sequence = 1
        try:
            while len(records) <= MAX_RECORDS:
                message = await jetstream.get_msg(stream, seq=sequence, subject=subject, next=True, direct=True)
                record = self._decode(message.data or b"")
                if record.correlation_id == correlation_id:  # the subject is a hash
                    records.append(record)
                sequence = (message.seq or 0) + 1
        except NotFoundError:
            return records
        except (TimeoutError, APIError, nats.errors.Error, OSError) as error:
            raise Retryable(f"receipts can't be read: {error!r}") from error
        raise TooMany(f"more than {MAX_RECORDS} requests")

    async def unread_singles(self, correlation_id: str, sources: Iterable[str]) -> list[tuple[str, str]]:
        """Single events of a correlation id that no collector has stored yet: (message id, source) of each.

        Raises Retryable where the broker can't be asked, or more than MAX_GROUPS groups are unread.
        """
        self._connection.require()
        found: list[tuple[str, str]] = []
        for source in sources:
            try:
                for partition in await present(self._connection, self._names, source):
                    async for headers in self._unread_groups(partition):
                        found += [
                            (part[MESSAGE_ID], source)
                            for part in ungroup(headers) or [headers]
                            if part.get(CORRELATION_ID) == correlation_id
                        ]
            except (TimeoutError, APIError, nats.errors.Error, OSError) as error:
                raise Retryable(f"unread messages of {source} can't be read: {error!r}") from error
        return found

    async def _unread_groups(self, partition: Partition) -> AsyncIterator[dict[str, str]]:
        jetstream, stream = self._connection.jetstream, partition.stream
        floor = (await jetstream.consumer_info(stream, COLLECTOR)).ack_floor
        sequence = (floor.stream_seq if floor else 0) + 1
        for _ in range(MAX_GROUPS):
            try:
                message = await jetstream.get_msg(
                    stream, seq=sequence, subject=partition.grouped, next=True, direct=True
                )
            except NotFoundError:
                return
            yield message.headers or {}
            sequence = (message.seq or 0) + 1
        raise Retryable(f"more than {MAX_GROUPS} groups of single events of {partition.label} are unread")
