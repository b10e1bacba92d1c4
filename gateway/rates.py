"""How much a sender may send: requests, events and bytes over a window of time.

Invariant: a request that is over a limit is refused whole, before anything of it was taken, and told when to come
again. Counted in memory, so for each gateway process on its own.

The headers are those of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` says what is allowed, `RateLimit` what
is left and in how many seconds there is more.
"""

import math
import time
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gateway.problems import Refused
from gateway.senders import Sender
from shared.outcomes import RefuseReason


class Quantity(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    EVENTS = "events"
    BYTES = "bytes"


class Rates:
    """The limits of all senders. Lives in one event loop; never waits."""

    def __init__(self, *, window_s: int) -> None:
        self._window_s = window_s
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._limits: dict[str, Mapping[Quantity, RateLimitItemPerSecond]] = {}

    def limits_of(self, sender: Sender) -> Mapping[Quantity, RateLimitItemPerSecond]:
        """The sender's limits, each over the whole window; {} where it has none."""
        if sender.name not in self._limits:
            rates = {
                Quantity.REQUESTS: sender.requests_per_second,
                Quantity.EVENTS: sender.events_per_second,
                Quantity.BYTES: sender.bytes_per_second,
            }
            self._limits[sender.name] = {
                quantity: RateLimitItemPerSecond(rate * self._window_s, self._window_s)
                for quantity, rate in rates.items()
                if rate is not None
            }
        return self._limits[sender.name]

    async def spend(self, sender: Sender, quantity: Quantity, amount: int) -> None:
        """Count it. Raises Refused (429) over the limit, and then counts nothing."""
        limits = self.limits_of(sender)
        limit = limits.get(quantity)
        if limit is None or amount == 0 or await self._limiter.hit(limit, sender.name, quantity, cost=amount):
            return
        headers = await self.headers(sender)
        if amount > limit.amount:
            detail = (
                f"The request has {amount} {quantity}, and {sender.name} may send {limit.amount} in "
                f"{self._window_s} s; nothing of it was taken. Send it in parts"
            )
        else:
            detail = (
                f"{sender.name} may send {limit.amount} {quantity} in {self._window_s} s, and has; nothing of this "
                "request was taken. Send it again later"
            )
        reset = (await self._limiter.get_window_stats(limit, sender.name, quantity)).reset_time
        headers["Retry-After"] = str(_seconds_until(reset))
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, RefuseReason.RATE, detail, headers, sender=sender.name)

    async def headers(self, sender: Sender) -> dict[str, str]:
        """`RateLimit` and `RateLimit-Policy`; {} for a sender without limits."""
        policies, states = [], []
        for quantity, limit in self.limits_of(sender).items():
            stats = await self._limiter.get_window_stats(limit, sender.name, quantity)
            policies.append(f'"{quantity}";q={limit.amount};w={self._window_s}')
            states.append(f'"{quantity}";r={max(0, stats.remaining)};t={_seconds_until(stats.reset_time)}')
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)} if policies else {}


def _seconds_until(moment: float) -> int:
    return max(1, math.ceil(moment - time.time()))
