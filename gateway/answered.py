"""The webhook requests that were answered lately: which, with what, how fast. Kept for the console.

Invariant: bounded, and nothing of an event in it: a correlation id, a status, counts and times.
"""

import time
from collections import deque
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from gateway.correlation import correlation_id_of
from streams.vitals import Answered

FIGURES: Final = web.ResponseKey("floodgate_figures", dict[str, Any])
"""On an answer: what `Answered` has beside the request itself."""

MAX_NEW: Final = 20
"""Of a beat: more than a person reads in a second."""


class AnsweredRequests:
    """Collects them between two beats. Where more come than fit, the newest stay."""

    def __init__(self) -> None:
        self._new: deque[Answered] = deque(maxlen=MAX_NEW)

    def note(self, request: web.Request, answer: web.StreamResponse, seconds: float) -> None:
        """Take an answered request."""
        figures = answer.get(FIGURES)
        if figures is None and answer.status < HTTPStatus.BAD_REQUEST:
            return
        self._new.append(
            Answered(
                at=time.time(),
                correlation_id=correlation_id_of(request),
                status=answer.status,
                ms=round(seconds * 1_000, 1),
                **(figures or {}),
            )
        )

    def take(self) -> list[Answered]:
        """Those since the last call, oldest first."""
        new = list(self._new)
        self._new.clear()
        return new
