"""What is kept of what processes say of themselves."""

from typing import Any, cast

import pytest

from streams import vitals
from streams.connection import Connection
from streams.subjects import Names
from streams.vitals import STOPPED, Answered, Vitals, VitalsBoard
from tests.integration.collectors.rig import quiet


def beat(clock_s: float, who: str = "a", **fields: Any) -> Vitals:
    said: dict[str, Any] = {
        "role": "gateway", "pid": 1, "host": "h", "version": "1", "started_at": 0.0, "state": "serving",
    }  # fmt: skip
    return Vitals(id=who, clock_s=clock_s, **said | fields)


@pytest.fixture
def board() -> VitalsBoard:
    """One that is told, and does not listen."""
    return VitalsBoard(cast("Connection", None), Names(), log=quiet(), clock=lambda: 0.0)


def test_a_beat_that_comes_twice_counts_once(board: VitalsBoard) -> None:
    own = beat(1.0, answered=[Answered(at=0.0, correlation_id="c", status=200, ms=1.0)])
    board.note(own)
    board.note(own)  # its own, come back over the broker

    ((heard, _),) = board.replicas()
    assert [one.clock_s for one in heard.take_new()] == [1.0]


def test_every_beat_is_handed_out_once_also_when_several_came_between_two_looks(board: VitalsBoard) -> None:
    board.note(beat(1.0))
    ((heard, _),) = board.replicas()
    assert [one.clock_s for one in heard.take_new()] == [1.0]
    assert heard.take_new() == []
    board.note(beat(2.0))
    board.note(beat(3.0))

    assert [one.clock_s for one in heard.take_new()] == [2.0, 3.0]


def test_who_says_that_it_stopped_is_forgotten(board: VitalsBoard) -> None:
    board.note(beat(1.0))
    board.note(beat(2.0, state=STOPPED))
    assert board.replicas() == []


def test_more_processes_than_fit_are_passed_over(board: VitalsBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "MAX_REPLICAS", 2)
    for who in "abc":
        board.note(beat(1.0, who))

    assert [heard.now.id for heard, _ in board.replicas()] == ["a", "b"]
