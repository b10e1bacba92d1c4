"""Retry policies: how often, and how long between. tenacity does the waiting."""

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from shared.errors import Retryable


def attempts(count: int, *, first_wait_s: float, max_wait_s: float) -> AsyncRetrying:
    """At most `count` attempts at what raises `Retryable`, with exponential back-off and full jitter.

    Reraises the last error. Jitter keeps many senders from coming back at the same moment.
    """
    return AsyncRetrying(
        stop=stop_after_attempt(count),
        wait=wait_random_exponential(multiplier=first_wait_s, max=max_wait_s),
        retry=retry_if_exception_type(Retryable),
        reraise=True,
    )
