"""The event loop's lag is what it came too late by, and nothing else."""

import asyncio

import pytest

from shared.loop_lag import EVERY_S, watch
from shared.metrics import RoleMetrics


@pytest.mark.parametrize(("slept_s", "lag_s"), [(EVERY_S, 0.0), (EVERY_S + 0.3, 0.3), (EVERY_S - 0.1, 0.0)])
async def test_it_observes_by_how_much_each_wake_was_late(slept_s: float, lag_s: float) -> None:
    metrics, now_s, wakes = RoleMetrics("test"), 0.0, 0

    async def sleep(wanted_s: float) -> None:
        nonlocal now_s, wakes
        assert wanted_s == EVERY_S
        if wakes == 4:
            raise asyncio.CancelledError
        wakes += 1
        now_s += slept_s

    with pytest.raises(asyncio.CancelledError):
        await watch(metrics, sleep=sleep, clock=lambda: now_s)

    value = metrics.registry.get_sample_value
    assert value("event_loop_lag_seconds_count") == 4
    assert value("event_loop_lag_seconds_sum") == pytest.approx(4 * lag_s)
