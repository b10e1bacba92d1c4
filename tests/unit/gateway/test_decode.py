"""Splitting a body: the same slices on every way, and a bounded price for nonsense."""

import contextlib
import json
import string
import tracemalloc
from time import perf_counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import decode
from gateway.body import MediaType
from gateway.decode import split
from gateway.problems import Refused
from gateway.surrogates import STAND_IN as STAND_IN_BYTES
from gateway.surrogates import neutralise

MAX_EVENTS = 50
LONE = b'"\\uD800"'
STAND_IN = b'"' + STAND_IN_BYTES + b'"'
"""What the split gives in its place: as long, and refused by every model, as the escape itself would be."""
PAIR = b'"\\ud83d\\ude00"'


async def _split(
    body: bytes, *, media: MediaType = MediaType.JSON, single: bool = False, max_events: int = MAX_EVENTS
) -> list[bytes]:
    return [bytes(part) for part in await split(bytearray(body), media, single=single, max_events=max_events)]


async def _refusal(body: bytes, *, media: MediaType = MediaType.JSON, single: bool = False) -> Refused:
    with pytest.raises(Refused) as caught:
        await _split(body, media=media, single=single)
    return caught.value


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(
    ("body", "slices"),
    [
        (b"[]", []),
        (b" \t\r\n[ ] \n", []),
        (b"[1]", [b"1"]),
        (b' [ {"a" : [1, 2]} ,\n"],[" , null ] ', [b'{"a" : [1, 2]}', b'"],["', b"null"]),
        (b"[[],{}]", [b"[]", b"{}"]),
        (b"[" + LONE + b"]", [STAND_IN]),
        (
            b'[ {"a" : ' + LONE + b"} , " + PAIR + b' , "\\\\ud800" ]',
            [b'{"a" : ' + STAND_IN + b"}", PAIR, b'"\\\\ud800"'],
        ),
    ],
)
async def test_an_array_is_split_into_its_elements_as_they_are(body: bytes, slices: list[bytes], single: bool) -> None:
    assert await _split(body, single=single) == slices


@pytest.mark.parametrize(
    "body",
    [
        b'{"events": [1, {"events": [2]}]}',
        b' { "a" : [{"events": [3]}], "events" :\n[1, {"events": [2]}] , "b" : "events" } ',
        b'{"a":' + LONE + b',"events":[1, {"events": [2]}]}',
    ],
)
async def test_an_object_gives_the_elements_of_its_events(body: bytes) -> None:
    assert await _split(body) == [b"1", b'{"events": [2]}']


async def test_one_object_is_one_event_on_the_route_for_one() -> None:
    for body in (b' {"events": [1, 2]}\n', b'{"a": ' + LONE + b"}", b'{"a":' * 50_000 + b"1" + b"}" * 50_000):
        assert await _split(body, single=True) == [body]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("surrogate", [b"1", LONE, PAIR], ids=["plain", "lone_surrogate", "pair"])
@pytest.mark.parametrize(
    "form",
    [
        "[%s,]", "[,%s]", "[%s,,1]", "[%s", "[%s}", "[%s] x", "[%s][]", "[%s]]", "[%s 1]", "[%s,{]", "[%s,{]}]",
        '[%s,"a]', '[%s,"\\"]', '[%s,"\\', "[%s,\x0c1]", "[%s,NaN]", "[%s,'a']", "[%s,01]", "x[%s]",
    ],
)  # fmt: skip
async def test_an_array_that_is_not_json_is_refused_whole(form: str, surrogate: bytes, single: bool) -> None:
    refused = await _refusal(form.encode().replace(b"%s", surrogate), single=single)
    assert (refused.status, refused.reason) == (400, "not_json")


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b'{"events": 5}', b'{"events": {}}', b'{"events": null, "a": []}', b'{"a": {"events": []}}',
        b'{"events": [1], "events": [2]}', b'{"events": [1], "events": 5}', b'{"events": 5, "events": [1]}',
        b'{"events": [' + LONE + b'], "events": [2]}', b'{"a": "events", "b": [1]}', b'{"a": ' + LONE + b"}",
    ],
)  # fmt: skip
async def test_an_object_whose_events_are_not_clear_is_refused_and_shown_the_right_form(body: bytes) -> None:
    refused = await _refusal(body)
    assert refused.status == 400
    assert '{"events": [...]}' in refused.detail


@pytest.mark.parametrize("media", MediaType)
@pytest.mark.parametrize("body", [b"", b" \r\n\t ", b"\n\n\n"])
async def test_an_empty_body_is_said_to_be_empty(body: bytes, media: MediaType) -> None:
    refused = await _refusal(body, media=media)
    assert (refused.status, refused.detail) == (400, "The body is empty")


@pytest.mark.parametrize("body", [b"null", b"17", b'"x"', b"hello", b"\0", b"\xff\xfe[\0]\0", b'"\\ud800"'])
async def test_what_is_neither_object_nor_array_is_refused(body: bytes) -> None:
    assert (await _refusal(body)).status == 400


@pytest.mark.parametrize("single", [False, True])
async def test_each_line_of_ndjson_is_one_event_whatever_it_is(single: bool) -> None:
    body = b'\n{"a": 1}\r\n  \n\r\n[1,\n \t{broken\n"last"'
    slices = await _split(body, media=MediaType.NDJSON, single=single)
    assert [part.strip() for part in slices] == [b'{"a": 1}', b"[1,", b"{broken", b'"last"']


async def test_one_giant_line_is_one_event() -> None:
    line = b'{"a": "' + b"x" * 2_000_000 + b'"}'
    assert await _split(line, media=MediaType.NDJSON) == [line]


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"[" + b"1," * MAX_EVENTS + b"1]", MediaType.JSON),
        (b'{"events":[' + b"1," * MAX_EVENTS + b"1]}", MediaType.JSON),
        (b"[" + LONE + b",1" * MAX_EVENTS + b"]", MediaType.JSON),
        (b"1\n" * MAX_EVENTS + b"1", MediaType.NDJSON),
        (b"[" + b"1," * 2_000_000 + b"1]", MediaType.JSON),
        (b'{"events":[' + b"[]," * 1_000_000 + b"1]}", MediaType.JSON),
        (b"[" + b"," * 2_000_000 + b"]", MediaType.JSON),
        (b"1\n" * 2_000_000, MediaType.NDJSON),
    ],
    ids=["array", "object", "lone_surrogate", "lines", "tiny", "tiny_in_object", "commas", "tiny_lines"],
)
async def test_too_many_events_are_413_at_a_price_of_no_more_than_the_body(body: bytes, media: MediaType) -> None:
    tracemalloc.start()
    try:
        refused = await _refusal(body, media=media)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (refused.status, refused.reason) == (413, "too_large")
    assert peak < 3 * len(body) + 1_000_000


async def test_as_many_events_as_allowed_are_split_on_every_way() -> None:
    for first in (b"1", LONE):
        assert len(await _split(b"[" + first + b",1" * (MAX_EVENTS - 1) + b"]")) == MAX_EVENTS
    assert len(await _split(b"1\n" * MAX_EVENTS, media=MediaType.NDJSON)) == MAX_EVENTS


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b"[" * 500_000 + b"]" * 499_999,
        b'["\\ud800' + b'\\"' * 1_000_000,
        b'["\\ud800' + b"\\n" * 1_000_000,
        b"[" + b"," * 2_100_000 + b'"' + b'\\"' * 1_000_000,
        b'["' + b'\\"' * 1_000_000,
        b'{"a": "events", "events": [1, "' + b'\\"' * 1_000_000,
        b"[" * 5_000 + b'"' + b'\\"' * 1_000_000,
        b"[" * 5_000 + b'"' + b'\\"' * 1_000_000 + b"\\",
    ],
    ids=["open", "one_open", "quotes", "escapes", "commas_then_quotes", "plain", "careful", "deep", "deep_backslash"],
)
async def test_nonsense_costs_time_and_memory_in_proportion(body: bytes) -> None:
    started = perf_counter()
    refused = await _refusal(body)
    assert refused.status in {400, 413}
    assert perf_counter() - started < 5  # quadratic, this would be hours
    tracemalloc.start()
    try:
        await _refusal(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * len(body) + 1_000_000


async def test_nesting_deeper_than_any_stack_is_one_elements_problem() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert await _split(b'[{"a":1},' + deep + b", 2 ]") == [b'{"a":1}', deep, b"2"]
    assert await _split(b'{"x":' + deep + b',"events":[1]}') == [b"1"]


_texts = st.text(alphabet=string.printable + 'é😀"\\/\u2028\ud800\udc00') | st.sampled_from(["events", "[", "]},{"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)
_forms = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n")])


def _without_lone_surrogates(text: bytes) -> bytes:
    neutral = bytearray(text)
    neutralise(neutral)
    return bytes(neutral)


@given(values=st.lists(_values, max_size=8), separators=_forms, wrapped=st.booleans())
async def test_the_careful_way_and_the_usual_one_give_the_same_slices(
    values: list[object], separators: tuple[str, str], wrapped: bool
) -> None:
    slices = [json.dumps(value, separators=separators).encode() for value in values]
    body = b" [ " + separators[0].encode().join(slices) + b" ]\n"
    if wrapped:
        body = b'{"first": {"events": [0]} , "events" :' + body + b"}"

    usual = await _split(body)
    careful = [bytes(part) for part in decode._split_carefully(bytearray(body), not wrapped, MAX_EVENTS)]

    assert careful == slices
    assert usual == [_without_lone_surrogates(part) for part in slices] or usual == slices


@given(body=st.binary(max_size=40) | st.text(alphabet='[]{},:"\\ ud8001events', max_size=40).map(str.encode))
async def test_no_bytes_make_it_raise_anything_but_a_refusal(body: bytes) -> None:
    for media in MediaType:
        for single in (False, True):
            with contextlib.suppress(Refused):
                slices = await _split(body, media=media, single=single)
                assert all(part in body for part in slices)


@given(body=st.text(alphabet='[]{},"\\ ud80a1', max_size=24).map(lambda text: b"[" + text.encode()))
@example(body=b"[\x0c1]")
async def test_the_careful_way_takes_an_array_only_where_the_standard_library_does(body: bytes) -> None:
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    try:
        slices = decode._split_carefully(bytearray(body), True, MAX_EVENTS)
    except Refused:
        assert parsed is None
    else:
        assert parsed is not None
        assert [json.loads(bytes(part)) for part in slices] == parsed
