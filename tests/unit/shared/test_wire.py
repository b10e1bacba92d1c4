"""A message's headers and body: what is encoded is decoded, and anything else is poison, never a crash."""

from datetime import UTC, datetime

import pytest

from shared import wire
from shared.errors import Poison
from shared.outcomes import DeadLetterReason
from shared.wire import MessageHeaders, encode_body

FULL = MessageHeaders(
    message_id="r1:facebook:0",
    correlation_id="c-1",
    events=100,
    received_at=datetime(2026, 1, 25, 17, 31, 13, 660_000, tzinfo=UTC),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


@pytest.mark.parametrize("traceparent", [FULL.traceparent, None])
def test_headers_come_back_as_they_were(traceparent: str | None) -> None:
    headers = MessageHeaders(
        message_id="m", correlation_id="c", events=1, received_at=FULL.received_at, traceparent=traceparent
    )
    assert MessageHeaders.decode(headers.encode()) == headers


def test_headers_on_the_wire_are_these() -> None:
    assert FULL.encode() == {
        "Nats-Msg-Id": "r1:facebook:0",
        "Floodgate-Correlation-Id": "c-1",
        "Floodgate-Events": "100",
        "Floodgate-Received-At": "2026-01-25T17:31:13.660000+00:00",
        "Floodgate-Format": "1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }


def test_each_encoding_is_a_dict_of_its_own() -> None:
    FULL.encode()["Nats-Expected-Stream"] = "X"
    assert "Nats-Expected-Stream" not in FULL.encode()


@pytest.mark.parametrize("version", ["0", "2", "", "1 ", "one", None])
def test_a_version_that_is_not_known_is_poison(version: str | None) -> None:
    headers = FULL.encode()
    if version is None:
        del headers[wire.FORMAT]
    else:
        headers[wire.FORMAT] = version
    with pytest.raises(Poison, match="Floodgate-Format is") as caught:
        MessageHeaders.decode(headers)
    assert caught.value.reason is DeadLetterReason.UNKNOWN_FORMAT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (wire.MESSAGE_ID, None),
        (wire.CORRELATION_ID, None),
        (wire.EVENTS, None),
        (wire.EVENTS, "many"),
        (wire.EVENTS, "1.5"),
        (wire.EVENTS, ""),
        (wire.EVENTS, "9" * 5_000),
        (wire.RECEIVED_AT, None),
        (wire.RECEIVED_AT, "yesterday"),
        (wire.RECEIVED_AT, "2026-01-25T17:31:13"),
    ],
)
def test_a_header_that_is_missing_or_unreadable_is_poison(name: str, value: str | None) -> None:
    headers = FULL.encode()
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    with pytest.raises(Poison, match="unreadable message headers") as caught:
        MessageHeaders.decode(headers)
    assert caught.value.reason is DeadLetterReason.UNDECODABLE


@pytest.mark.parametrize("events", [[], [b'{"a": 1}'], [b'{"a": 1}', b' {"b":2.50}\n', b'{"c":"\xc3\xa9"}']])
def test_a_body_holds_the_events_bytes_unchanged_and_is_as_long_as_computed(events: list[bytes]) -> None:
    body = encode_body(events)
    assert body == b"[" + b",".join(events) + b"]"
    separators = max(0, len(events) - 1) * wire.SEPARATOR_BYTES
    assert len(body) == wire.BRACKETS_BYTES + separators + sum(map(len, events))
