"""What a collector tells of itself, as it is heard over a real NATS."""

import asyncio
from collections.abc import Callable

import pytest

from streams.vitals import FORGOTTEN_AFTER_S, SILENT_AFTER_S, Vitals, VitalsBoard
from tests.integration.collectors.rig import SOURCE, Rig, quiet, until
from tests.unit.collectors.samples import event

NO_ROOM = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@pytest.fixture(autouse=True)
def _a_quick_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.app.EVERY_S", 0.2)


class _Ear:
    """A board that listens, and a clock that can be put forward."""

    def __init__(self, rig: Rig) -> None:
        self._later_s = 0.0
        clock = asyncio.get_running_loop().time
        self.board = VitalsBoard(rig.connection, rig.names, log=quiet(), clock=lambda: clock() + self._later_s)

    def forward(self, seconds: float) -> None:
        self._later_s += seconds

    async def hears(self, condition: Callable[[Vitals], bool]) -> Vitals:
        """The first newest beat that is as wanted."""

        async def found() -> Vitals | None:
            return next((heard.now for heard, _ in self.board.replicas() if condition(heard.now)), None)

        beat: Vitals = await until(found)
        return beat


async def test_a_collector_tells_what_it_has_stored_and_that_it_has_stopped(collecting: Rig) -> None:
    ear = _Ear(collecting)
    await ear.board.listen()
    async with collecting.collector() as running:
        await ear.hears(lambda beat: beat.state == "idle" and beat.last_flush is None)
        await collecting.send([event("e-1"), event("e-2")])

        beat = await ear.hears(lambda beat: beat.last_flush is not None)

        assert (beat.role, beat.source, beat.postgres) == ("collector", SOURCE, True)
        assert beat.totals["settled"]["stored"] == 2
        assert beat.last_flush is not None
        assert beat.last_flush.events == 2
        assert beat.pool is not None
        assert beat.pool.most == 20
        await running.stop()

    async def nobody() -> bool:
        return not ear.board.replicas()

    await until(nobody)


async def test_a_collector_that_is_held_says_by_what(collecting: Rig) -> None:
    ear = _Ear(collecting)
    await ear.board.listen()
    async with collecting.collector() as running:
        await until(running.is_started)
        await collecting.execute(NO_ROOM)
        await collecting.send([event("e-1")])

        held = await ear.hears(lambda beat: beat.state == "held")
        assert "No space left" in (held.reason or "")
        assert held.postgres is False
        await collecting.execute("DROP TRIGGER refuse ON events")

        await ear.hears(lambda beat: beat.state == "storing" and beat.reason is None)


async def test_replicas_are_told_apart_and_the_silent_are_forgotten(collecting: Rig) -> None:
    ear = _Ear(collecting)
    await ear.board.listen()
    async with collecting.collector(), collecting.collector():

        async def both() -> bool:
            return len(ear.board.replicas()) == 2

        await until(both)
        ear.forward(SILENT_AFTER_S)
        assert any(ago_s >= SILENT_AFTER_S for _, ago_s in ear.board.replicas())
        ear.forward(FORGOTTEN_AFTER_S)
        assert ear.board.replicas() == []


async def test_what_is_no_beat_is_passed_over(collecting: Rig) -> None:
    ear = _Ear(collecting)
    await ear.board.listen()
    await collecting.connection.client.publish(collecting.names.vitals(SOURCE, "stranger"), b'{"role": "admiral"}')
    async with collecting.collector():
        await ear.hears(lambda beat: beat.state == "idle")

    assert "stranger" not in [heard.now.id for heard, _ in ear.board.replicas()]
