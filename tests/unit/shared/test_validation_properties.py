"""Whatever is done to a valid event, the verdict is the one of the plain rules."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import EventValidator, Rejection
from tests.unit.shared.rules import EVENT_TYPES, KINDS, MISSING, is_valid, paths, put, sample, shape

VALIDATOR = EventValidator(max_event_bytes=256 * 1024)

TIMES = [
    "2026-01-25T17:31:13.660Z", "2026-01-25 17:31Z", "2026-01-25T17:31:13+05:30", "2026-01-25T17:31:13-0800",
    "2026-01-25t17:31:13z", "2026-01-25T17:31:13.123456789Z", "2026-01-25T17:31:13.1Z", "2026-01-25T17:31:13",
    "2026-01-25", "17:31:13Z", "20260125T173113Z", "2026-W04-7T17:31:13Z", "2026-025T17:31:13Z", "2026-01-25T17Z",
    "2026-01-25T24:00:00Z", "2026-01-25T17:60:00Z", "2026-01-25T17:31:60Z", "2026-02-29T00:00:00Z", "2028-02-29T00:00Z",
    "2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z", "2026-01-25T17:31:13+24:00", "2026-01-25T17:31:13+23:59",
    "2026-01-25T17:31:13+05:60", "2026-01-25T17:31:13+05", "2026-01-25T17:31:13,5Z", "2026-01-25T17:31:13.Z",
    "2026-01-25T17:31:13.660Z\n", " 2026-01-25T17:31:13.660Z", "2026-01-25T17:31:13.660 Z", "2026-01-25T17:31:13ZZ",
    "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "1970-01-01T00:30:00+01:00", "1969-12-31T23:30:00-01:00",
    "9998-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "9999-01-01T00:30:00+01:00", "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00", "\u0662026-01-25T17:31:13Z",
    "+2026-01-25T17:31:13Z", "12026-01-25T17:31:13Z", "1769362273", "now", "",
]  # fmt: skip
AMOUNTS = [
    "0", "0.0", "12.34", "00012", "1" * 18, "1" * 19, "0.12345678", "0.123456789", "1" * 18 + ".12345678", "-1", "+1",
    "-0", "1e3", "1.", ".5", "1,5", "1 000", " 1", "1 ", "1\n", "NaN", "Infinity", "0x10", "1_000", "\u0663", "\uff11",
    "",
]  # fmt: skip
NUMBERS: list[Any] = [
    0, -1, 1.5, -0.0, 1e-320, 2**53 - 1, 2**53, -(2**53) + 1, -(2**53), 2.0**53, 1e308, 10**30, 10**400, 1e15,
]  # fmt: skip
TEXTS = [
    "",
    "x",
    "x" * 255,
    "x" * 256,
    "é" * 255,
    "😀" * 255,
    "\0",
    "a\0b",
    "\ud800",
    "a\udfffb",
    "\\u0000",
    "\u2028",
    "x" * 2000,
]
OTHERS: list[Any] = [None, True, False, [], {}, ["x"], [[[]]], {"x": 1}, {"userId": "u"}, "25", "null", 1, 0.5]
WORDS = sorted({word for words in EVENT_TYPES.values() for word in words} | {"facebook", "tiktok", "top", "bottom"})
LITERALS = [
    *WORDS,
    "Facebook",
    "TOP",
    "middle",
    "male",
    "Android",
    "Chrome",
    "center",
    "mobile",
    "newsfeed",
    "top ",
    "x",
]

VALUES = st.one_of(
    st.sampled_from(TIMES),
    st.sampled_from(AMOUNTS),
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.sampled_from(OTHERS),
    st.sampled_from(LITERALS),
    st.text(max_size=20),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=5
    ),
)


@st.composite
def changed_events(draw: st.DrawFn) -> dict[str, Any]:
    """A valid event of any kind after one to three changes, each anywhere in it."""
    event: dict[str, Any] = sample(*draw(st.sampled_from(KINDS)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(event)))
        change = draw(st.sampled_from(["replace", "drop", "rename", "add", "swap kind"]))
        if change == "replace":
            event = put(event, path, draw(VALUES))
        elif change == "drop":
            event = put(event, path, MISSING)
        elif change == "rename":
            event = put(
                put(event, path, MISSING),
                draw(st.sampled_from([path + "x", path.upper(), path + " "])).split(".")[-1],
                1,
            )
        elif change == "add":
            event = put(
                event, draw(st.text(st.characters(exclude_characters="."), min_size=1, max_size=5)), draw(VALUES)
            )
        else:
            source, stage = draw(st.sampled_from(KINDS))
            event = event | draw(
                st.sampled_from([{"source": source}, {"funnelStage": stage}, {"source": source, "funnelStage": stage}])
            )
        if not paths(event):
            return event
    return event


def verdict(event: Any) -> bool:
    """Whether the product accepts it."""
    found = VALIDATOR.validate(json.dumps(event).encode())
    if not isinstance(found, Rejection):
        assert (found.source, found.event_id) == (event["source"], event["eventId"])
        return True
    assert found.problems
    return False


@settings(max_examples=1500, deadline=None)
@given(changed_events())
def test_a_changed_event_is_accepted_exactly_where_the_rules_accept_it(event: dict[str, Any]) -> None:
    assert verdict(event) is is_valid(event), event


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_every_field_takes_exactly_what_its_rule_takes(kind: tuple[str, str]) -> None:
    """Each extreme value in each place: no sampling, so nothing depends on luck."""
    event = sample(*kind)
    assert verdict(event)
    assert is_valid(event)
    values = [*TIMES, *AMOUNTS, *NUMBERS, *TEXTS, *OTHERS, *LITERALS, MISSING]
    judged = [
        (path, value, verdict(changed), is_valid(changed))
        for path in paths(event)
        for value in values
        if (changed := put(event, path, value)) is not None
    ]
    assert [case for case in judged if case[2] is not case[3]] == []
    accepted = {path for path, _, is_accepted, _ in judged if is_accepted}
    refused = {path for path, _, is_accepted, _ in judged if not is_accepted}
    assert accepted >= set(shape(*kind))  # every rule lets something pass
    assert refused == set(paths(event))  # and keeps something out


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(["", "data.", "data.user.", "data.engagement."]),
    st.text(st.characters(exclude_characters="."), max_size=8),
    VALUES,
)
def test_an_unknown_key_anywhere_decides_only_by_what_the_database_can_hold(
    kind: tuple[str, str], place: str, key: str, value: Any
) -> None:
    event = put(sample(*kind), f"{place}new_{key}", value)
    assert verdict(event) is is_valid(event), event


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_are_anything_but_a_verdict(noise: bytes) -> None:
    assert isinstance(VALIDATOR.validate(noise), Rejection)
    broken = json.dumps(sample("tiktok", "top")).encode().replace(b"Ecuador", noise.replace(b'"', b""), 1)
    found = VALIDATOR.validate(broken)
    assert isinstance(found, Rejection) or found.source == "tiktok"


def test_an_event_cut_short_at_any_byte_is_refused() -> None:
    event = json.dumps(sample("facebook", "bottom")).encode()
    assert not isinstance(VALIDATOR.validate(event), Rejection)
    for length in range(len(event)):
        assert isinstance(VALIDATOR.validate(event[:length]), Rejection)
