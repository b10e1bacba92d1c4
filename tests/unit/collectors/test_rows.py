"""Events to rows: which field comes from where, and that no byte of `data` is touched."""

from datetime import UTC, datetime
from struct import Struct
from typing import Any

import orjson
import pytest

from collectors import copy_format as pg
from collectors import rows
from collectors.rows import EventRows, RowBuilder
from shared.errors import Poison
from shared.events import REGISTRY
from shared.outcomes import DeadLetterReason
from tests.unit.collectors.samples import RECEIVED_AT, SHAPES, encoded, event, headers

BUILDERS = {source: RowBuilder(REGISTRY[source]) for source in REGISTRY.sources}
HEADERS = headers(correlation_id="c-7")
LENGTH = Struct(">i")


def fields(columns: tuple[str, ...], row: bytes) -> dict[str, bytes | None]:
    """A row's fields by column; checks that the row is whole."""
    assert row[:2] == pg.row(len(columns))
    at, found = 2, dict[str, bytes | None]()
    for column in columns:
        (size,) = LENGTH.unpack_from(row, at)
        at += LENGTH.size
        found[column] = None if size == -1 else row[at : at + size]
        at += max(size, 0)
    assert at == len(row)
    return found


def build(*events: dict[str, Any] | bytes, source: str = "facebook") -> list[EventRows]:
    return BUILDERS[source].build(encoded(*events), HEADERS)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_fills_the_columns_of_events(shape: str) -> None:
    sent = event("e-1", shape)
    [built] = build(sent, source=shape.split(maxsplit=1)[0])

    found = fields(rows.EVENTS, built.event)
    assert (built.event_id, built.user_id) == ("e-1", "user-of-e-1")
    assert found == {
        "source": shape.split(maxsplit=1)[0].encode(),
        "received_at": pg.timestamptz(RECEIVED_AT)[4:],
        "correlation_id": b"c-7",
        "funnel_stage": shape.split()[1].encode(),
        "event_type": sent["eventType"].encode(),
        "event_id": b"e-1",
        "user_id": b"user-of-e-1",
        "occurred_at": pg.timestamptz(datetime(2026, 1, 25, 17, 31, 13, 660_000, UTC))[4:],
        "data": orjson.dumps(sent["data"]),
        "extra": None,
    }


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("facebook top", {"name": "Zoë 😀", "age": 41.0, "gender": "non-binary", "country": "Japan", "city": "大阪"}),
        (
            "facebook bottom",
            {"name": "Zoë 😀", "age": 41.0, "gender": "non-binary", "country": "Japan", "city": "大阪"},
        ),
        ("tiktok top", {"name": "Ressie7", "followers": 311578.0, "country": "Perú"}),
        ("tiktok bottom", {"name": "Ressie7", "followers": 311578.0}),
    ],
)
def test_demographics_have_what_the_platform_tells_of_a_user(shape: str, expected: dict[str, str | float]) -> None:
    [built] = build(event("e-1", shape), source=shape.split(maxsplit=1)[0])

    found = fields(rows.DEMOGRAPHICS, built.demographics)
    told = {
        column: (value.encode() if isinstance(value, str) else pg.float8(value)[4:])
        for column, value in expected.items()
    }
    keys = {"source": shape.split(maxsplit=1)[0].encode(), "first_seen_at": pg.timestamptz(RECEIVED_AT)[4:]}
    assert found == dict.fromkeys(rows.DEMOGRAPHICS) | keys | {"user_id": b"user-of-e-1"} | told


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("facebook bottom", {"campaign_id": b"camp-1", "ad_id": b"ad-1"}),
        ("tiktok bottom", {"item": b"Lamp"}),
    ],
)
def test_an_amount_makes_a_row_of_revenue(shape: str, expected: dict[str, bytes]) -> None:
    [built] = build(event("e-1", shape, amount="12.30"), source=shape.split(maxsplit=1)[0])

    assert built.revenue is not None
    found = fields(rows.REVENUE, built.revenue)
    assert found.pop("occurred_at") == fields(rows.EVENTS, built.event)["occurred_at"]
    assert found == dict.fromkeys(found) | {
        "source": shape.split(maxsplit=1)[0].encode(), "event_id": b"e-1", "user_id": b"user-of-e-1",
        "amount": pg.numeric("12.30")[4:], **expected,
    }  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_without_an_amount_there_is_no_revenue(shape: str) -> None:
    [built] = build(event("e-1", shape), source=shape.split(maxsplit=1)[0])

    assert built.revenue is None


def test_data_keeps_every_byte_known_and_unknown_keys_order_blanks_and_escapes() -> None:
    data = (
        b'{ "new" : [1.10, {"deep":null}] ,\n "user":{"userId":"u","name":"\\u00e9\\ud83d\\ude00","age":1e1,'
        b'"gender":"male","location":{"city":"b","country":"a","zip":"1"}}, "engagement":{"purchaseAmount":"1.0"}}'
    )
    sent = b'{"eventId":"e","timestamp":"2026-01-25T17:31:13Z","source":"facebook","funnelStage":"bottom",'
    plain = sent + b'"eventType":"ad.click","data":' + data + b"}"
    with_more = sent + b'"eventType":"ad.click","data":' + data + b',"sdk":"9"}'

    for body in (plain, with_more):
        [built] = build(body)
        assert fields(rows.EVENTS, built.event)["data"] == data
        assert fields(rows.DEMOGRAPHICS, built.demographics)["name"] == "é😀".encode()


def test_unknown_keys_of_the_envelope_are_kept_in_extra_for_their_event_alone() -> None:
    more = event("e-2") | {"sdk": {"version": "9.1"}, "tags": []}

    plain, with_extra, last = build(event("e-1"), more, event("e-3"))

    assert fields(rows.EVENTS, plain.event)["extra"] is None
    assert fields(rows.EVENTS, with_extra.event)["extra"] == b'{"sdk":{"version":"9.1"},"tags":[]}'
    assert fields(rows.EVENTS, last.event)["extra"] is None


def without(path: str) -> dict[str, Any]:
    found = event("e-1", amount="1")
    *way, last = path.split(".")
    inner = found
    for key in way:
        inner = inner[key]
    del inner[last]
    return found


def replaced(**values: Any) -> dict[str, Any]:
    return event("e-1") | values


WRONG: dict[str, dict[str, Any] | bytes] = {
    "no user id": without("data.user.userId"),
    "no user": without("data.user"),
    "no data": without("data"),
    "no event id": without("eventId"),
    "another source": event("e-1", "tiktok top"),
    "an unknown source": replaced(source="myspace"),
    "a number for an id": replaced(eventId=5),
    "no time": replaced(timestamp="yesterday"),
    "a time without an offset": replaced(timestamp="2026-01-25T17:31:13"),
    "a day that does not exist": replaced(timestamp="2026-02-30T17:31:13Z"),
    "data that is a list": replaced(data=[]),
    "a user that is null": replaced(data={"user": None}),
    "an amount that is none": event("e-1", amount="much"),
    "a negative amount": event("e-1", amount="-500"),
    "an amount without end": event("e-1", amount="9" * 200_000),
    "a number beyond all": orjson.dumps(event("e-1")).replace(b":41,", b":1e999,"),
    "a lone surrogate": orjson.dumps(event("e-1")).replace(b"non-binary", b"\\ud800"),
    "broken UTF-8": orjson.dumps(event("e-1")).replace(b"non-binary", b"\xff"),
    "nesting without end": orjson.dumps(replaced(x=1)).replace(b'"x":1', b'"x":' + b"[" * 9_000 + b"]" * 9_000),
    "a list": b"[]",
    "null": b"null",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_can_not_be_decoded_is_poison(wrong: dict[str, Any] | bytes) -> None:
    with pytest.raises(Poison) as told:
        build(event("e-0"), wrong)

    assert told.value.reason is DeadLetterReason.UNDECODABLE


@pytest.mark.parametrize("body", [b"", b"garbage", b"{}", b"null", b"[", b'[{"eventId":', b"[" * 50_000, b"\xff\xfe"])
def test_a_body_that_is_no_array_is_poison(body: bytes) -> None:
    with pytest.raises(Poison):
        BUILDERS["facebook"].build(body, HEADERS)
    with pytest.raises(Poison):
        RowBuilder.slices(body)


def test_slices_are_the_events_as_they_came() -> None:
    sent = [b'{ "a" : 1 }', b'"\\u00e9"', b"7.0"]

    assert RowBuilder.slices(b"[ " + b" ,\n".join(sent) + b" ]") == sent
