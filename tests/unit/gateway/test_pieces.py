"""Splitting a body in pieces: the same elements as in one go, or none; and turns for others in between."""

import asyncio
import json
from collections.abc import Awaitable
from typing import TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.pieces import PIECE_BYTES, split_in_pieces, split_lines
from gateway.surrogates import STAND_IN
from gateway.turns import Turns
from loadtest.generator import Plan, batches

MAX_EVENTS = 1_000
TRICKY = st.sampled_from(["},{", '"', "\\", "],[", "}, {", "x", "\n"]).map(str)
VALUES = st.recursive(
    st.none() | st.integers() | st.lists(TRICKY, max_size=4).map("".join),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(TRICKY, some, max_size=3),
    max_leaves=8,
)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" \n,\t", " : ")])


_T = TypeVar("_T")


class Events(msgspec.Struct):
    events: list[msgspec.Raw]


_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_events = msgspec.json.Decoder(Events).decode


async def _pieces(
    body: bytearray, *, is_array: bool, piece_bytes: int, max_events: int = MAX_EVENTS
) -> list[bytes] | None:
    found = await split_in_pieces(
        body, is_array=is_array, max_events=max_events, turns=Turns(), piece_bytes=piece_bytes
    )
    return None if found is None else [bytes(part) for part in found]


async def _beside_others(splitting: Awaitable[_T], turns: Turns) -> tuple[_T, int]:
    """What it splits, and how many turns somebody else had meanwhile."""
    elsewhere = 0

    async def others() -> None:
        nonlocal elsewhere
        while True:
            async with turns:
                elsewhere += 1

    beside = asyncio.create_task(others())
    try:
        return await splitting, elsewhere
    finally:
        beside.cancel()


def _whole(body: bytes, *, is_array: bool) -> list[bytes] | None:
    try:
        elements = _decode_array(body) if is_array else _decode_events(body).events
    except msgspec.DecodeError:
        return None
    return [bytes(part) for part in elements]


@given(
    st.lists(st.dictionaries(TRICKY, VALUES, max_size=3) | VALUES, max_size=12),
    SEPARATORS,
    st.booleans(),
    st.integers(1, 60),
)
@example([{"a": [{}, {}, {}]}, {"b": "},{"}, {}], (",", ":"), True, 1)
def test_pieces_give_the_elements_of_the_whole_or_none(
    values: list[object], separators: tuple[str, str], is_array: bool, piece_bytes: int
) -> None:
    text = json.dumps(values if is_array else {"events": values}, separators=separators).encode()
    body = bytearray(text)
    found = asyncio.run(_pieces(body, is_array=is_array, piece_bytes=piece_bytes))
    assert body == text
    assert found is None or [json.loads(part) for part in found] == values


@given(
    st.lists(st.dictionaries(TRICKY, VALUES, max_size=3), min_size=1, max_size=8),
    st.integers(1, 60),
    st.booleans(),
    st.data(),
)
def test_what_is_no_json_as_a_whole_is_none_in_pieces(
    values: list[object], piece_bytes: int, is_array: bool, data: st.DataObject
) -> None:
    text = json.dumps(values if is_array else {"events": values}, separators=(",", ":")).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    broken = text[:at] + data.draw(st.sampled_from([b"", b"]", b"}", b",", b'"', b"[", b"\\", b"},{"])) + text[at + 1 :]
    found = asyncio.run(_pieces(bytearray(broken), is_array=is_array, piece_bytes=piece_bytes))
    assert found is None or found == _whole(broken, is_array=is_array)


@pytest.mark.parametrize("is_array", [True, False])
async def test_usual_events_are_split_in_pieces_with_a_turn_for_each(is_array: bool) -> None:
    events = [event.encode() for batch in batches(Plan(total=5_000)) for event in batch.events]
    body = bytearray((b"[%s]" if is_array else b' {"events": [%s]}\n') % b",".join(events))
    turns = Turns()
    found, elsewhere = await _beside_others(
        split_in_pieces(body, is_array=is_array, max_events=5_000, turns=turns), turns
    )
    assert found is not None
    assert [bytes(part) for part in found] == events
    assert elsewhere >= len(body) // (2 * PIECE_BYTES)


async def test_a_lone_surrogate_stays_a_matter_of_its_own_event() -> None:
    events = [b'{"at":%d}' % at for at in range(100)]
    events[50] = b'{"at":"\\ud800"}'
    found = await _pieces(bytearray(b"[" + b",".join(events) + b"]"), is_array=True, piece_bytes=64)
    events[50] = b'{"at":"%s"}' % STAND_IN
    assert found == events


async def test_too_many_elements_end_the_splitting_early() -> None:
    body = bytearray(b"[" + b",".join([b"{}"] * 10_000) + b"]")
    found = await _pieces(body, is_array=True, piece_bytes=64, max_events=100)
    assert found is not None
    assert 100 < len(found) < 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"events": [{}, {}], "events": [{}, {}]}',
        b'{"a": 1, "events": [{}, {}]}',
        b'{"events": [{}, {}], "a": [1]}',
        b'{"events": {}, "b": [{}, {}]}',
    ],
)
async def test_an_object_with_more_than_its_events_is_not_for_pieces(body: bytes) -> None:
    for piece_bytes in range(1, 30):
        assert await _pieces(bytearray(body), is_array=False, piece_bytes=piece_bytes) is None


@given(st.lists(st.sampled_from([b"{}", b'{"a": 1}', b" ", b"\r", b"\n", b"\n\n", b"\t", b"x"])), st.integers(1, 9))
@example([b"{}", b"\n", b"{}"], 2)
@example([b"{}", b"\n", b"{}"], 3)
def test_pieces_give_the_lines_of_the_whole(parts: list[bytes], piece_bytes: int) -> None:
    body = b"".join(parts)
    lines = [line.lstrip() for line in body.split(b"\n") if line.strip()]
    found = asyncio.run(split_lines(bytearray(body), max_events=MAX_EVENTS, turns=Turns(), piece_bytes=piece_bytes))
    assert [bytes(line) for line in found] == lines


@pytest.mark.parametrize("body", [b'{"a": 1}\n' * 300_000, b" " * 3_000_000], ids=["lines", "blanks"])
async def test_lines_are_split_in_pieces_with_a_turn_for_each(body: bytes) -> None:
    turns = Turns()
    found, elsewhere = await _beside_others(split_lines(bytearray(body), max_events=300_000, turns=turns), turns)
    assert len(found) == body.count(b"\n")
    assert elsewhere >= len(body) // (2 * PIECE_BYTES)


async def test_too_many_lines_end_the_splitting_early() -> None:
    found = await split_lines(bytearray(b"{}\n" * 1_000), max_events=100, turns=Turns(), piece_bytes=64)
    assert len(found) == 101
