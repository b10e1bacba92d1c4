"""The retry policy: what is tried again, how often, and how long is waited between."""

import gc

import pytest

from shared.errors import Fatal, Retryable
from shared.retry import with_retries


class _Waits:
    """Takes the place of sleeping, and keeps what was asked for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def _try(count: int, error: Exception, *, max_wait_s: float = 100.0) -> tuple[int, list[float]]:
    waits = _Waits()
    tried = retried = 0

    async def step() -> None:
        nonlocal tried
        tried += 1
        raise error

    def before_retry() -> None:
        nonlocal retried
        retried += 1
        assert retried == tried

    with pytest.raises(type(error)) as caught:
        await with_retries(step, count, first_wait_s=1.0, max_wait_s=max_wait_s, before_retry=before_retry, sleep=waits)
    assert caught.value is error  # the last error itself, not a wrapper
    assert retried == tried - 1
    return tried, waits.seconds


async def test_what_may_work_next_time_is_tried_as_often_as_asked() -> None:
    tried, waits = await _try(3, Retryable("not now"))
    assert tried == 3
    assert len(waits) == 2
    assert await _try(1, Retryable("not now")) == (1, [])


async def test_what_is_given_up_is_not_tried_again() -> None:
    failed: list[Retryable] = []
    waits = _Waits()

    async def step() -> None:
        failed.append(Retryable("not now"))
        raise failed[-1]

    with pytest.raises(Retryable) as caught:
        await with_retries(step, 5, first_wait_s=1.0, max_wait_s=1.0, given_up=lambda: len(failed) == 2, sleep=waits)
    assert caught.value is failed[-1]
    assert (len(failed), len(waits.seconds)) == (2, 1)


@pytest.mark.parametrize("error", [Fatal("never"), ValueError("a bug"), KeyError("a bug")])
async def test_anything_else_is_raised_at_once(error: Exception) -> None:
    assert await _try(3, error) == (1, [])


async def test_waits_double_with_full_jitter_and_end_at_the_most() -> None:
    _, waits = await _try(12, Retryable("not now"), max_wait_s=8.0)
    for index, seconds in enumerate(waits):
        assert 0 <= seconds <= min(8.0, 2.0**index)
    assert len(set(waits)) > 1


async def test_the_first_success_is_the_answer() -> None:
    left = 2

    async def step() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise Retryable("not now")
        return "done"

    assert await with_retries(step, 5, first_wait_s=1.0, max_wait_s=1.0, sleep=_Waits()) == "done"
    assert left == -1


async def test_what_works_at_once_leaves_the_garbage_collector_nothing() -> None:
    async def step() -> None:
        pass

    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            await with_retries(step, 5, first_wait_s=1.0, max_wait_s=1.0)
        assert gc.collect() < 100
    finally:
        gc.enable()
