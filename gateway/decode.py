"""A body in, its events out as slices of bytes; none of them parsed yet.

Invariant: a body is refused whole only where it is not JSON, is neither object nor array, or has too many
events, and then before anything was taken. What is wrong inside one event is that event's problem alone.

msgspec splits a body at memory speed, a large one in pieces (`gateway.pieces`), but can't split every valid one. It
refuses lone surrogate escapes: these get stand-ins, which the models refuse just the same. It recurses into nesting, it
would make an object an element where an array has millions, and of two `events` keys it would drop one unseen: such
bodies go the careful way. Both ways are slower, and linear in the body, in a thread.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import nullcontext
from http import HTTPStatus
from typing import Final

import msgspec

from gateway.body import MediaType
from gateway.pieces import split_in_pieces, split_lines
from gateway.problems import Refused
from gateway.surrogates import SURROGATE, neutralise
from gateway.turns import Turns
from shared.outcomes import RefuseReason

COMMAS_PER_EVENT: Final = 40
"""Far more than an event has. An array with more commas than its events could have may be of tiny elements."""

# A string that never ends is one token up to the end, and nothing is tried twice (possessive): else a body of
# escaped quotes would be read once for each of them.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
LARGE_BODY_BYTES: Final = 256 * 1024

_JSON_BLANKS: Final = b" \t\r\n"
_START: Final = re.compile(rb"\s*(\S?)")
_EVENTS_NAME: Final = b'"events"'
_EVENTS_KEY: Final = re.compile(_EVENTS_NAME + rb"\s*:\s*")


class _Bulk(msgspec.Struct):
    events: list[msgspec.Raw]


_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_bulk: Final = msgspec.json.Decoder(_Bulk).decode
_check_json: Final = msgspec.json.Decoder(msgspec.Raw).decode

Slices = Sequence[msgspec.Raw | bytes]


async def split(
    body: bytearray, media: MediaType, *, single: bool, max_events: int, turns: Turns | None = None
) -> Slices:
    """The events' JSON texts, in order. They point into `body`, which must not change while they live.

    `single`: an object is one event; otherwise it must be `{"events": [...]}`. A line of NDJSON is not
    looked at here, so a broken one is one broken event. `turns`: taken while a piece of a large body is split, so
    that large ones take turns. Raises Refused: 400, or 413 over `max_events`.
    """
    if media is MediaType.NDJSON:
        lines = await split_lines(body, max_events=max_events, turns=turns or Turns())
        if not lines:
            raise _not_json("The body is empty")
        return _bounded(lines, max_events)
    start = _START.match(body)[1]  # type: ignore[index]  # it matches anything
    if not start:
        raise _not_json("The body is empty")
    if start == b"{" and single:
        return [await _one(body)]
    if start not in {b"{", b"["}:
        raise _not_json("The body is not JSON, or its JSON is neither an object nor an array")
    is_array = start == b"["
    if turns is not None and len(body) > LARGE_BODY_BYTES:
        slices = await split_in_pieces(body, is_array=is_array, max_events=max_events, turns=turns)
        if slices is not None:
            return _bounded(slices, max_events)
    if not _is_unusual(body, is_array, max_events):
        try:
            return _bounded(await _split_usual(body, is_array, turns), max_events)
        except RecursionError:
            pass
    return await asyncio.to_thread(_split_carefully, body, is_array, max_events)


async def _split_usual(body: bytearray, is_array: bool, turns: Turns | None) -> Slices:
    try:
        async with turns if turns is not None and len(body) > LARGE_BODY_BYTES else nullcontext():
            return _split_at_once(body, is_array)
    except Refused:
        if not SURROGATE.search(body):
            raise
    return await asyncio.to_thread(_split_around_surrogates, body, is_array)


def _split_at_once(body: bytearray | bytes, is_array: bool) -> Slices:
    try:
        return _decode_array(body) if is_array else _decode_bulk(body).events
    except msgspec.ValidationError as error:
        raise _wrong_shape(error) from error
    except msgspec.DecodeError as error:
        raise _not_json(f"The body is not JSON: {error}") from error


def _split_around_surrogates(body: bytearray, is_array: bool) -> Slices:
    neutralise(body)
    return _split_at_once(body, is_array)


def _is_unusual(body: bytearray, is_array: bool, max_events: int) -> bool:
    if not is_array and body.count(_EVENTS_NAME) > 1:
        return True
    return body.count(b",") > COMMAS_PER_EVENT * max(max_events, 1_000)


async def _one(body: bytearray) -> bytes:
    """A body that is one object: checked to be JSON, kept whole."""
    event = bytes(body)
    try:
        _check_json(event)
    except RecursionError:
        pass  # as in `_is_json`
    except msgspec.DecodeError as error:
        if not await asyncio.to_thread(_is_json, event):
            raise _not_json(f"The body is not JSON: {error}") from error
    return event


def _is_json(text: bytes | bytearray) -> bool:
    """Whether the text is JSON by its grammar, lone surrogates and any nesting included."""
    try:
        _check_json(text)
    except RecursionError:
        return True  # nested deeper than anything here reads; the validator refuses the event it is in
    except msgspec.DecodeError:
        if not SURROGATE.search(text):
            return False
        neutral = bytearray(text)
        neutralise(neutral)
        return neutral != text and _is_json(neutral)
    return True


def _split_carefully(body: bytearray, is_array: bool, max_events: int) -> Slices:
    """Split by counting brackets. Runs in a thread; stops at the first event too many."""
    text = bytes(body)
    start = text.index(b"[") if is_array else _events_value(text)
    if start is None or text[start : start + 1] != b"[":
        raise _wrong_shape("there is no `events`, or it is no array")
    slices, end = _elements(text, start, max_events)
    if not is_array and _events_value(text, end, depth=1) is not None:
        raise _wrong_shape("there are two `events`, and only one could be taken")
    for part in (*slices, text[: start + 1] + text[end - 1 :]):  # the elements, and what is around them
        if not _is_json(part):
            raise _not_json("The body is not JSON")
    return slices


def _events_value(text: bytes, begin: int = 0, depth: int = 0) -> int | None:
    """Where the value of the next top-level `events` key begins; None where there is none."""
    for token in _TOKEN.finditer(text, begin):
        first = text[token.start()]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
        elif depth == 1 and (found := _EVENTS_KEY.match(text, token.start())):
            return found.end()
    return None


def _elements(text: bytes, start: int, max_events: int) -> tuple[list[bytes], int]:
    """The elements of the array that begins at `start`, and where it ends. Raises Refused where it does not."""
    elements: list[bytes] = []
    depth, begin = 0, start + 1
    for token in _TOKEN.finditer(text, start):
        first = text[token.start()]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
        if depth == 0 or (depth == 1 and first == ord(",")):
            element = text[begin : token.start()].strip(_JSON_BLANKS)
            if element or elements or depth == 1:  # only `[]` has nothing before its end
                elements.append(element)
            if len(elements) > max_events:
                raise _too_many(max_events)
            if depth == 0:
                return elements, token.end()
            begin = token.end()
    raise _not_json("The body is not JSON: it ends within an array")


def _bounded(slices: Slices, max_events: int) -> Slices:
    if len(slices) > max_events:
        raise _too_many(max_events)
    return slices


def _too_many(max_events: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        RefuseReason.TOO_LARGE,
        f"The request has more than {max_events} events; nothing of it was taken. Send it in parts",
    )


def _wrong_shape(error: object) -> Refused:
    return _not_json(f'The body must be {{"events": [...]}}, an array of events, or NDJSON: {error}')


def _not_json(detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, RefuseReason.NOT_JSON, detail)
