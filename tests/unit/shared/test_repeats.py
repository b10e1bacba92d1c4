"""A flood of the same warning is thinned out, and says so afterwards."""

import logging
from typing import Any

import pytest
import structlog

from shared.repeats import MAX_KINDS, Repeats


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def passed(repeats: Repeats, event: str = "broken", level: str = "warning", **fields: Any) -> dict[str, Any] | None:
    try:
        return dict(repeats(None, "", {"event": event, "level": level, **fields}))
    except structlog.DropEvent:
        return None


def test_so_many_a_minute_pass_and_the_next_minute_says_how_many_did_not(clock: Clock) -> None:
    repeats = Repeats(3, clock=clock)
    assert [passed(repeats) is not None for _ in range(10)] == [True] * 3 + [False] * 7
    clock.now_s = 59.9
    assert passed(repeats) is None
    clock.now_s = 60.0
    assert passed(repeats) == {"event": "broken", "level": "warning", "suppressed": 8}
    assert passed(repeats) == {"event": "broken", "level": "warning"}


def test_kinds_do_not_hide_each_other(clock: Clock) -> None:
    repeats = Repeats(1, clock=clock)
    assert passed(repeats, "answered", status=422)
    assert passed(repeats, "answered", status=422) is None
    assert passed(repeats, "answered", status=503)
    assert passed(repeats, "other", status=422)


@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_is_no_warning_always_passes(clock: Clock, level: str) -> None:
    repeats = Repeats(1, clock=clock)
    assert all(passed(repeats, level=level) == {"event": "broken", "level": level} for _ in range(5))


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
def test_warnings_and_worse_are_thinned_out(clock: Clock, level: str) -> None:
    repeats = Repeats(1, clock=clock)
    assert [passed(repeats, level=level) is None for _ in range(2)] == [False, True]


def test_a_librarys_record_is_of_the_kind_of_its_message_before_the_arguments(clock: Clock) -> None:
    repeats = Repeats(2, clock=clock)

    def record(argument: int) -> logging.LogRecord:
        return logging.LogRecord("nats", logging.WARNING, "", 0, "lost %s", (argument,), None)

    assert [repeats.filter(record(number)) for number in range(4)] == [True, True, False, False]


def test_kinds_without_end_take_no_memory_without_end(clock: Clock) -> None:
    repeats = Repeats(1, clock=clock)
    for number in range(3 * MAX_KINDS):
        passed(repeats, f"kind {number}")
    assert len(repeats._kinds) <= MAX_KINDS
