"""The message between gateway and collectors: a JSON array of events as they were received, and headers.

Invariant: an event's bytes pass through unchanged. The format version in the headers says how to read a
message; a collector refuses a version it does not know (as poison, so it is kept, not lost).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.errors import Poison
from shared.outcomes import DeadLetterReason

FORMAT_VERSION: Final = "1"

MESSAGE_ID: Final = "Nats-Msg-Id"  # NATS: the header that JetStream deduplicates by
CORRELATION_ID: Final = "Floodgate-Correlation-Id"
EVENTS: Final = "Floodgate-Events"
RECEIVED_AT: Final = "Floodgate-Received-At"
FORMAT: Final = "Floodgate-Format"
SENDER: Final = "Floodgate-Sender"
TRACEPARENT: Final = "traceparent"  # W3C Trace Context
NO_TRACE: Final = "-"  # in a group's list of traces, for an event without one

BRACKETS_BYTES: Final = len(b"[]")
SEPARATOR_BYTES: Final = len(b",")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHeaders:
    """What a message says about itself.

    `message_id` is the same for every attempt to publish the same events, so the broker drops the second
    copy when an acknowledgement was lost; it is never used again for other events.

    `correlation_id` is that of the request; of a group of single events, which as many requests brought at
    the same time, it is theirs, separated by blanks, one an event in the order of the body: see `ungroup`.

    `sender` is who posted them, by the name in the gateway's settings; None where the gateway runs open.
    """

    message_id: str
    correlation_id: str
    events: int
    received_at: datetime
    traceparent: str | None = None
    sender: str | None = None

    def encode(self) -> dict[str, str]:
        """As NATS headers. A new dict each time: nats-py changes the one it is given."""
        headers = {
            MESSAGE_ID: self.message_id,
            CORRELATION_ID: self.correlation_id,
            EVENTS: str(self.events),
            RECEIVED_AT: self.received_at.isoformat(),
            FORMAT: FORMAT_VERSION,
        }
        if self.traceparent is not None:
            headers[TRACEPARENT] = self.traceparent
        if self.sender is not None:
            headers[SENDER] = self.sender
        return headers

    @classmethod
    def decode(cls, headers: Mapping[str, str]) -> "MessageHeaders":
        """From NATS headers. Raises Poison where one is missing or unreadable, or the version is unknown."""
        if (version := headers.get(FORMAT)) != FORMAT_VERSION:
            raise Poison(
                DeadLetterReason.UNKNOWN_FORMAT,
                f"{FORMAT} is {version!r}; this collector reads {FORMAT_VERSION!r}",
            )
        try:
            received_at = datetime.fromisoformat(headers[RECEIVED_AT])
            if received_at.tzinfo is None:
                raise ValueError("no offset")  # noqa: TRY301 - one way out for every unreadable header
            return cls(
                message_id=headers[MESSAGE_ID],
                correlation_id=headers[CORRELATION_ID],
                events=int(headers[EVENTS]),
                received_at=received_at,
                traceparent=headers.get(TRACEPARENT),
                sender=headers.get(SENDER),
            )
        except (KeyError, ValueError) as error:
            raise Poison(DeadLetterReason.UNDECODABLE, f"unreadable message headers: {error}") from error


def ungroup(headers: Mapping[str, str]) -> list[dict[str, str]] | None:
    """The headers of the messages, of one event each, that a group stands for; None where it is no group.

    Their ids are the group's with the event's place in it, and so as lasting as the group's. What is a list
    in the group's headers, separated by blanks, is one for each event: correlation ids and traces.
    """
    correlation_ids = headers.get(CORRELATION_ID, "").split(" ")
    if len(correlation_ids) == 1:
        return None
    traces = headers.get(TRACEPARENT, "").split(" ")
    if len(traces) != len(correlation_ids):
        traces = [NO_TRACE] * len(correlation_ids)
    common = {name: value for name, value in headers.items() if name != TRACEPARENT}
    return [
        {
            **common,
            MESSAGE_ID: f"{headers.get(MESSAGE_ID, '')}.{at}",
            CORRELATION_ID: correlation_id,
            EVENTS: "1",
            **({} if trace == NO_TRACE else {TRACEPARENT: trace}),
        }
        for at, (correlation_id, trace) in enumerate(zip(correlation_ids, traces, strict=True))
    ]


def encode_body(events: Iterable[bytes]) -> bytes:
    """The events' JSON texts as one JSON array, their bytes unchanged."""
    return b"[" + b",".join(events) + b"]"
