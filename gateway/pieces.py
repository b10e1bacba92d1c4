"""A large body split piece by piece: no turn of the event loop splits more than one.

Invariant: where a cut may be is a guess, and whether it is right is proven. A piece begins where an element begins, and
with the brackets of an array around it, it decodes only if its end is the end of an element too: anything else leaves
a bracket or a string open. So the pieces' elements are the body's, or the answer is None and nothing has been changed
that matters: the body is then split as a whole, which also words what is wrong with it.

The brackets stand where the commas between two pieces stood, in place: a copy of the body would cost its memory again.

Lines need no proof: a piece of them is where they begin, and the last one is followed to its end.
"""

import re
from contextlib import nullcontext
from typing import Final

import msgspec

from gateway.surrogates import SURROGATE, neutralise
from gateway.turns import Turns

PIECE_BYTES: Final = 512 * 1024
"""Split in about half a millisecond."""

_CUT: Final = re.compile(rb"\}[ \t\r\n]*(,)[ \t\r\n]*\{")
_OPENING: Final = re.compile(rb'[ \t\r\n]*(?:\{[ \t\r\n]*"events"[ \t\r\n]*:[ \t\r\n]*)?\[')
_LINE: Final = re.compile(rb"[^\s][^\n]*")
_ARRAY_CLOSING: Final = re.compile(rb"\][ \t\r\n]*\Z")
_OBJECT_CLOSING: Final = re.compile(rb"\][ \t\r\n]*\}[ \t\r\n]*\Z")
_CLOSING_BYTES: Final = 64
_OPEN_BRACKET, _CLOSE_BRACKET = b"[]"

_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def split_in_pieces(
    body: bytearray, *, is_array: bool, max_events: int, turns: Turns, piece_bytes: int = PIECE_BYTES
) -> list[msgspec.Raw] | None:
    """The elements of an array, or of an object's only key `events`; None where that can't be done in pieces.

    Takes a turn of the event loop for each piece. Ends early, with more than `max_events` elements, once there are.
    They point into `body`, which must not change while they live.
    """
    opening = _OPENING.match(body)
    closing = (_ARRAY_CLOSING if is_array else _OBJECT_CLOSING).search(body, max(0, len(body) - _CLOSING_BYTES))
    if opening is None or closing is None:
        return None
    start, last = opening.end() - 1, closing.start()
    elements: list[msgspec.Raw] = []
    while len(elements) <= max_events:
        end = _end_of_piece(body, start, last, piece_bytes)
        if end is None:
            return None
        async with turns:
            piece = _decode_piece(body, start, end)
        if piece is None:
            return None
        elements += piece
        if end == last:
            return elements
        start = end
    return elements


async def split_lines(
    body: bytearray, *, max_events: int, turns: Turns, piece_bytes: int = PIECE_BYTES
) -> list[msgspec.Raw]:
    """The lines that are not blank, from their first character that is none. Waits its turn for each piece.

    Ends early, with one more than `max_events` lines, once there are. They point into `body`, which must not change
    while they live.
    """
    lines: list[msgspec.Raw] = []
    start = 0
    while start < len(body) and len(lines) <= max_events:
        async with turns if len(body) > piece_bytes else nullcontext():
            start = _take_lines(body, start, start + piece_bytes, max_events, lines)
    return lines


def _take_lines(body: bytearray, start: int, end: int, max_events: int, lines: list[msgspec.Raw]) -> int:
    """Takes the lines that begin before `end`; where the next one may begin."""
    for match in _LINE.finditer(body, start, end):
        first, last = match.span()
        if last == end:  # it may go on
            newline = body.find(b"\n", end)
            last = newline if newline >= 0 else len(body)
        lines.append(msgspec.Raw(memoryview(body)[first:last]))
        if last >= end or len(lines) > max_events:
            return last
    return end


def _end_of_piece(body: bytearray, start: int, last: int, piece_bytes: int) -> int | None:
    """Where a piece might end: at a comma that looks like one between two objects, or at the array's end."""
    if last - start <= 2 * piece_bytes:
        return last
    cut = _CUT.search(body, start + piece_bytes, start + 2 * piece_bytes)
    return cut.start(1) if cut is not None else None


def _decode_piece(body: bytearray, start: int, end: int) -> list[msgspec.Raw] | None:
    """The elements between two commas (or brackets), which stay what they were; None where they are no elements."""
    before, after = body[start], body[end]
    body[start], body[end] = _OPEN_BRACKET, _CLOSE_BRACKET
    try:
        if (elements := _decoded(body, start, end)) is None and SURROGATE.search(body, start, end):
            neutralise(body, start, end)
            elements = _decoded(body, start, end)
        return elements
    finally:
        body[start], body[end] = before, after


def _decoded(body: bytearray, start: int, end: int) -> list[msgspec.Raw] | None:
    try:
        return _decode_array(memoryview(body)[start : end + 1])
    except (msgspec.DecodeError, RecursionError):
        return None
