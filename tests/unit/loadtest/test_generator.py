"""The generator: valid by the platforms' rules, exact in its counts, the same for the same seed."""

import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.corruptions import CORRUPTIONS, corrupt
from loadtest.generator import Plan, batches
from loadtest.platforms import PLATFORMS

START = datetime(2026, 1, 25, 17, 31, 13, tzinfo=UTC)
MIXED = Plan(total=5000, batch=700, invalid_share=0.1, duplicates_share=0.2, seed=7, start=START)


def _bodies(plan: Plan) -> list[bytes]:
    return [batch.array() for batch in batches(plan)]


def test_the_same_plan_gives_the_same_bytes_each_time_it_is_walked() -> None:
    assert _bodies(MIXED) == _bodies(MIXED)
    assert _bodies(MIXED) == _bodies(replace(MIXED))


def test_another_seed_shares_no_event_id() -> None:
    def ids(seed: int) -> set[str]:
        plan = Plan(total=500, seed=seed, start=START)
        return {orjson.loads(event)["eventId"] for batch in batches(plan) for event in batch.events}

    assert not ids(1) & ids(2)


@settings(max_examples=60, deadline=None)
@given(
    total=st.integers(1, 300),
    batch=st.integers(1, 120),
    invalid=st.floats(0, 0.6),
    duplicates=st.floats(0, 0.6),
    seed=st.integers(0, 99),
)
def test_the_counts_are_exact_and_a_duplicate_follows_its_original(
    total: int, batch: int, invalid: float, duplicates: float, seed: int
) -> None:
    try:
        plan = Plan(
            total=total,
            batch=batch,
            invalid_share=invalid,
            duplicates_share=duplicates,
            seed=seed,
            start=START,
        )
    except ValueError:
        # Only a plan without a valid event to repeat may be refused.
        assert round(total * invalid) + round(total * duplicates) > total - 1
        return
    seen: set[str] = set()
    sizes, refused, repeated = [], 0, 0
    for made in batches(plan):
        sizes.append(len(made.events))
        refused += len(made.invalid)
        for index, event in enumerate(made.events):
            if index in made.invalid:
                continue
            assert (event in seen) == (index in made.repeated)
            repeated += event in seen
            seen.add(event)
    assert sum(sizes) == total
    assert all(size == batch for size in sizes[:-1])
    assert len(sizes) == plan.requests
    assert refused == plan.invalid == round(total * invalid)
    assert repeated == plan.duplicates == round(total * duplicates)
    assert len(seen) == plan.unique


def test_exactly_the_events_named_invalid_break_the_rules(rules: Callable[[str], list[str]]) -> None:
    for batch in batches(MIXED):
        broken = {index for index, event in enumerate(batch.events) if rules(event)}
        assert broken == set(batch.invalid)


@pytest.mark.parametrize("source", sorted(PLATFORMS))
@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)
def test_each_corruption_spoils_an_event_of_each_platform(
    corruption: object, source: str, rules: Callable[[str], list[str]]
) -> None:
    chosen = next(c for c in CORRUPTIONS if c is corruption)
    plan = Plan(total=200, sources=(source,), seed=3, start=START)
    valid = [event for batch in batches(plan) for event in batch.events]
    of_stage = [event for event in valid if orjson.loads(event)["funnelStage"] == chosen.stage]
    assert of_stage
    assert all(not rules(event) for event in of_stage)
    assert all(rules(corrupt(event, chosen, PLATFORMS[source])) for event in of_stage)


@pytest.mark.parametrize("source", sorted(PLATFORMS))
def test_as_many_invalid_events_as_corruptions_have_one_of_each(source: str) -> None:
    plan = Plan(total=len(CORRUPTIONS) * 4, invalid_share=0.25, sources=(source,), batch=10, seed=5, start=START)
    names = Counter(name for batch in batches(plan) for name in batch.invalid.values())
    assert names == {corruption.name: 1 for corruption in CORRUPTIONS}


def test_every_stage_and_type_of_both_platforms_is_sent() -> None:
    events = [orjson.loads(event) for batch in batches(Plan(total=4000, seed=1, start=START)) for event in batch.events]
    kinds = {(e["source"], e["funnelStage"], e["eventType"]) for e in events}
    assert len(kinds) == 4 + 3 + 4 + 3
    by_source = Counter(e["source"] for e in events)
    assert min(by_source.values()) > 1800
    amounts = [e["data"]["engagement"].get("purchaseAmount") for e in events if e["funnelStage"] == "bottom"]
    assert None in amounts
    assert any(isinstance(amount, str) for amount in amounts)
    watched = {type(e["data"]["engagement"]["watchTime"]) for e in events if "watchTime" in e["data"]["engagement"]}
    assert watched == {int, float}


def test_only_the_asked_sources_are_sent() -> None:
    plan = Plan(total=100, sources=("tiktok",), invalid_share=0.5, seed=1, start=START)
    sources = {
        orjson.loads(event)["source"]
        for batch in batches(plan)
        for index, event in enumerate(batch.events)
        if index not in batch.invalid
    }
    assert sources == {"tiktok"}


def test_events_have_the_size_of_real_ones() -> None:
    plan = Plan(total=5000, seed=2, start=START)
    total_bytes = sum(len(batch.array()) for batch in batches(plan))
    assert 380 <= total_bytes / plan.total <= 480


def test_events_happened_before_the_start_and_some_days_late() -> None:
    events = [orjson.loads(event) for batch in batches(Plan(total=3000, seed=1, start=START)) for event in batch.events]
    ages = [START - datetime.fromisoformat(event["timestamp"]) for event in events]
    assert min(ages) >= timedelta(0)
    assert max(ages) > timedelta(days=2)
    assert sum(age < timedelta(hours=1) for age in ages) > 2800


def test_a_flood_without_end_is_made_batch_by_batch() -> None:
    plan = Plan(total=10**9, duplicates_share=0.1, invalid_share=0.01, seed=1, start=START)
    tracemalloc.start()
    try:
        flood = islice(batches(plan), 20)
        made = sum(len(batch.events) for batch in flood)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made == 20_000
    # 20,000 events alone would be over 9 MB; two batches and the remembered events are well below.
    assert peak_bytes < 5_000_000


def test_every_body_form_holds_the_same_events() -> None:
    batch = next(batches(Plan(total=5, seed=1, start=START)))
    events = [orjson.loads(event) for event in batch.events]
    assert orjson.loads(batch.array()) == events
    assert orjson.loads(b"[" + batch.members() + b"]") == events
    assert [orjson.loads(line) for line in batch.ndjson().splitlines()] == events


def test_event_ids_look_like_the_platforms_own() -> None:
    ids = [orjson.loads(e)["eventId"] for b in batches(Plan(total=50, seed=1, start=START)) for e in b.events]
    assert all(i.startswith(("fb-", "ttk-")) and len(i.split("-", 1)[1]) == 36 for i in ids)
    assert all(a != b for a, b in pairwise(sorted(ids)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"total": 0}, "total 0"),
        ({"total": 10, "batch": 0}, "batch 0"),
        ({"total": 10, "invalid_share": 1.5}, "invalid 1.5"),
        ({"total": 10, "sources": ()}, "takes one or more of"),
        ({"total": 10, "sources": ("myspace",)}, "myspace"),
        ({"total": 10, "invalid_share": 0.5, "duplicates_share": 0.5}, "lower one of the shares"),
        ({"total": 10, "duplicates_share": 1.0}, "no valid event to repeat"),
    ],
)
def test_an_impossible_plan_says_what_is_wrong(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Plan(**options)  # type: ignore[arg-type]  # wrong values are the point
