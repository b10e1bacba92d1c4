"""Retry policies: how often, and how long between. tenacity does the counting and the waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from shared.errors import Retryable

_T = TypeVar("_T")


async def with_retries(
    attempt: Callable[[], Awaitable[_T]],
    count: int,
    *,
    first_wait_s: float,
    max_wait_s: float,
    before_retry: Callable[[], None] = lambda: None,
    given_up: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> _T:
    """What `attempt` returns; at most `count` of them where it raises `Retryable`. Waits between them.

    With exponential back-off and full jitter, which keeps many senders from coming back at the same moment. After
    each failed attempt `given_up` is asked whether it was the last. Raises the last error as it is.
    """
    try:
        return await attempt()
    except Retryable as error:
        first = error
    # Only now, and it is told of the first attempt afterwards: the state that tenacity makes for a call is some thirty
    # objects in a cycle. Made for each message, they had the garbage collector stop the event loop for 25 ms at a time.
    async for turn in AsyncRetrying(
        stop=lambda state: state.attempt_number >= count or given_up(),
        wait=wait_random_exponential(multiplier=first_wait_s, max=max_wait_s),
        retry=retry_if_exception_type(Retryable),
        sleep=sleep,
        reraise=True,
    ):
        with turn:
            if turn.retry_state.attempt_number == 1:
                raise first
            before_retry()
            return await attempt()
    raise AssertionError("it ends by a return or a raise")
