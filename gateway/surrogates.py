"""Lone surrogate escapes, which msgspec refuses a whole body for.

Invariant: a stand-in is as long as the escape it stands for, is let through by the split, and is refused by the models
just the same; so one event is refused, and not its neighbours.
"""

import re
from typing import Final

STAND_IN: Final = b"\xff" * len(rb"\ud800")

SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def neutralise(body: bytearray, start: int = 0, end: int | None = None) -> None:
    """Put stand-ins for lone surrogates, in place: a body of escapes would make millions of pieces.

    `start` must not be within an escape.
    """
    for match in _ESCAPE.finditer(body, start, len(body) if end is None else end):
        if match.group(1):
            body[match.start() : match.end()] = STAND_IN
