"""Events into messages: by source, in order, within both limits."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.batching import Batch, Batcher
from streams.partitions import Partition
from streams.subjects import Names

_events = st.lists(
    st.tuples(
        st.sampled_from(["facebook", "tiktok", "third"]), st.integers(0, 60).map(lambda n: b'"' + b"x" * n + b'"')
    ),
    max_size=60,
)


def to(source: str) -> Partition:
    """The one stream of a source."""
    return Names().of(source)[0]


def _batches(events: list[tuple[str, bytes]], *, max_events: int, max_body_bytes: int) -> list[Batch]:
    batcher = Batcher(max_events=max_events, max_body_bytes=max_body_bytes)
    full = [batch for index, (source, event) in enumerate(events) if (batch := batcher.add(to(source), index, event))]
    return [*full, *batcher.rest()]


@given(events=_events, max_events=st.integers(1, 8), max_body_bytes=st.integers(64, 200))
def test_every_event_is_in_one_message_of_its_source_in_order_within_both_limits(
    events: list[tuple[str, bytes]], max_events: int, max_body_bytes: int
) -> None:
    batches = _batches(events, max_events=max_events, max_body_bytes=max_body_bytes)

    for source in {source for source, _ in events}:
        mine = [batch for batch in batches if batch.source == source]
        sent = [(index, event) for index, (its_source, event) in enumerate(events) if its_source == source]
        assert [pair for batch in mine for pair in zip(batch.indexes, batch.events, strict=True)] == sent
        for batch, following in itertools.pairwise(mine):  # none is cut short without need
            is_full = len(batch.events) == max_events
            assert is_full or len(batch.body()) + 1 + len(following.events[0]) > max_body_bytes
    for batch in batches:
        assert 1 <= len(batch.events) <= max_events
        assert len(batch.body()) == batch.body_bytes <= max_body_bytes
        assert json.loads(batch.body()) == [json.loads(event) for event in batch.events]


def test_the_same_events_make_the_same_messages() -> None:
    events = [("facebook" if n % 3 else "tiktok", b'"%d"' % n) for n in range(50)]
    once, again = (
        [(batch.source, batch.body()) for batch in _batches(events, max_events=4, max_body_bytes=30)] for _ in range(2)
    )
    assert once == again


def test_a_full_message_is_given_out_with_the_event_that_fills_it() -> None:
    batcher = Batcher(max_events=2, max_body_bytes=1_000)
    assert batcher.add(to("facebook"), 0, b"0") is None
    full = batcher.add(to("facebook"), 1, b"1")
    assert full is not None
    assert full.body() == b"[0,1]"
    assert list(batcher.rest()) == []


def test_an_event_without_room_starts_the_next_message() -> None:
    batcher = Batcher(max_events=100, max_body_bytes=10)
    assert batcher.add(to("facebook"), 0, b"1234") is None
    assert batcher.add(to("facebook"), 1, b"567") is None  # [1234,567] is ten bytes
    full = batcher.add(to("facebook"), 2, b"8")
    assert full is not None
    assert full.body() == b"[1234,567]"
    assert [batch.body() for batch in batcher.rest()] == [b"[8]"]


def test_nothing_makes_no_message() -> None:
    assert _batches([], max_events=1, max_body_bytes=1) == []
