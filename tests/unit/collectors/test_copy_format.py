"""Every encoder against PostgreSQL itself: what was copied in as binary is read back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors import copy_format as pg
from shared.events.types import EARLIEST, LATEST, parse_timestamp

MAX_EXAMPLES = 12  # of up to 200 values each: a connection costs more than they do
against_one_database = settings(
    max_examples=MAX_EXAMPLES,
    deadline=None,
    # One database for all examples is meant: each copies into a table of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


async def through_postgres(url: str, kind: str, fields: Sequence[bytes], read: str = "value") -> list[Any]:
    """What PostgreSQL made of these fields, in order."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE TEMPORARY TABLE copied (at int, value {kind})")
        row = pg.row(2)
        body = [row + pg.raw(at.to_bytes(4)) + field for at, field in enumerate(fields)]

        async def chunks() -> Any:
            yield pg.HEADER + b"".join(body) + pg.TRAILER

        await connection.copy_to_table("copied", source=chunks(), columns=["at", "value"], format="binary")
        return [found["value"] for found in await connection.fetch(f"SELECT {read} AS value FROM copied ORDER BY at")]
    finally:
        await connection.close()


amounts = st.from_regex(r"[0-9]{1,18}(\.[0-9]{1,8})?", fullmatch=True)


@against_one_database
@given(values=st.lists(amounts, min_size=50, max_size=200))
async def test_a_decimal_is_stored_digit_by_digit_with_its_scale(database_url: str, values: list[str]) -> None:
    stored = await through_postgres(database_url, "numeric", [*map(pg.numeric, values)], "value::text")

    assert stored == [format(Decimal(value), "f") for value in values]


async def test_decimals_at_the_edges_of_their_groups_are_stored_digit_by_digit(database_url: str) -> None:
    values = [
        "0", "0.0", "0.00000000", "0000", "0.0001", "0.00001", "10000", "100000000", "9999.9999", "10000.0001",
        "999999999999999999.99999999", "000000000000000001.00000001", "0.10", "12.30", "1.", "5" * 60,
    ]  # fmt: skip
    stored = await through_postgres(database_url, "numeric", [*map(pg.numeric, values)], "value::text")

    assert stored == [format(Decimal(value), "f") for value in values]


@pytest.mark.parametrize(
    "value", ["", "-5", "-500", "+500", "1e5", " 50", "1_00", "١٢", "12,5", ".5", "NaN", "9" * 9_999]
)
def test_what_is_no_plain_decimal_is_refused_and_not_guessed(value: str) -> None:
    with pytest.raises(ValueError, match="plain decimal"):
        pg.numeric(value)


offsets = st.integers(-(23 * 60 + 59), 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None) - timedelta(microseconds=1))


@against_one_database
@given(values=st.lists(st.builds(datetime.replace, moments, tzinfo=offsets), min_size=50, max_size=100))
async def test_a_time_is_stored_to_the_microsecond_whatever_its_offset(
    database_url: str, values: list[datetime]
) -> None:
    stored = await through_postgres(database_url, "timestamptz", [*map(pg.timestamptz, values)])

    assert stored == [_utc(value) for value in values]


async def test_times_at_the_edges_are_stored_as_postgres_itself_reads_their_text(database_url: str) -> None:
    texts = [
        "1970-01-01T00:00:00Z", "1970-01-01T15:59:00+15:59", "1969-12-31T08:01:00-15:59", "1970-01-01T00:00Z",
        "1999-12-31T23:59:59.999999Z", "2000-01-01T00:00:00Z", "2000-01-01 00:00:00.000001+0530",
        "2024-02-29T12:00:00.5-08:00", "9998-12-31T23:59:59.999999Z", "9998-12-31T23:59:59.999999-15:59",
    ]  # fmt: skip
    fields = [pg.timestamptz(parse_timestamp(text)) for text in texts]
    stored = await through_postgres(database_url, "timestamptz", fields, "value::text")

    connection = await asyncpg.connect(database_url)
    expected = await connection.fetch("SELECT text::timestamptz::text FROM unnest($1::text[]) AS text", texts)
    await connection.close()
    assert stored == [row[0] for row in expected]


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        pg.timestamptz(datetime(2026, 1, 25))  # noqa: DTZ001 - that it has none is the point


@against_one_database
@given(
    values=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50), min_size=20
    )
)
async def test_text_is_stored_character_by_character(database_url: str, values: list[str]) -> None:
    assert await through_postgres(database_url, "text", [*map(pg.text, values)]) == values


@pytest.mark.parametrize("length", [0, 1, 1_023, 1_024, 1_025, 1_048_576])
async def test_text_of_any_length_is_stored(database_url: str, length: int) -> None:
    values = ["x" * length, "😀" * (length // 4), "é\n\t\\." * (length // 6)]

    assert await through_postgres(database_url, "text", [*map(pg.text, values)]) == values


@against_one_database
@given(values=st.lists(st.floats(allow_nan=False), min_size=50))
async def test_a_number_is_stored_bit_by_bit(database_url: str, values: list[float]) -> None:
    stored = await through_postgres(database_url, "double precision", [*map(pg.float8, values)])

    assert [value.hex() for value in stored] == [value.hex() for value in values]


async def test_json_keeps_its_bytes_and_null_is_null(database_url: str) -> None:
    texts = [b'{ "b" : 1.00, "a": "\\u00e9", "b":2 }', '"日本😀"'.encode(), b"[]"]
    stored = await through_postgres(database_url, "json", [*map(pg.raw, texts), pg.NULL], "value::text")

    assert stored == [*(text.decode() for text in texts), None]


def _utc(value: datetime) -> datetime:
    """By arithmetic of its own: astimezone() leaves the range of datetime at its ends."""
    offset = value.utcoffset()
    assert offset is not None
    return value.replace(tzinfo=UTC) - offset
