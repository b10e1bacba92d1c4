"""A body in, its events out as slices of bytes; none of them parsed yet.

Invariant: a body is refused whole only where it is not JSON, is neither object nor array, or has too many
events, and then before anything was taken. What is wrong inside one event is that event's problem alone.

msgspec splits a body at memory speed, but can't split every valid one: it refuses lone surrogate escapes
and recurses into nesting, and it would make an object an element where an array has millions. Such bodies
go the careful way, which is slower and bounded.
"""

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus
from itertools import islice
from typing import Final

import msgspec

from gateway.body import MediaType
from gateway.problems import Refused
from shared.outcomes import RefuseReason

COMMAS_PER_EVENT: Final = 40
"""Far more than an event has. An array with more commas than its events could have may be of tiny elements."""

_LONE_SURROGATE_STAND_IN: Final = rb"\u0000"  # as long as what it stands for, and refused for the same reason

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_LINE: Final = re.compile(rb"[^\s][^\n]*")
_EVENTS_KEY: Final = re.compile(rb'"events"\s*:\s*\[')


class _Bulk(msgspec.Struct):
    events: list[msgspec.Raw]


_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_bulk: Final = msgspec.json.Decoder(_Bulk).decode
_check_json: Final = msgspec.json.Decoder(msgspec.Raw).decode

Slices = Sequence[msgspec.Raw | bytes]


async def split(body: bytearray, media: MediaType, *, single: bool, max_events: int) -> Slices:
    """The events' JSON texts, in order. They point into `body`, which must not change while they live.

    `single`: an object is one event; otherwise it must be `{"events": [...]}`. A line of NDJSON is not
    looked at here, so a broken one is one broken event. Raises Refused: 400, or 413 over `max_events`.
    """
    if media is MediaType.NDJSON:
        lines = [match.group() for match in islice(_LINE.finditer(body), max_events + 1)]
        if not lines:
            raise _not_json("The body is empty")
        return _bounded(lines, max_events)
    start = bytes(body[:1]) if not body[:1].isspace() else bytes(body.lstrip()[:1])
    if not start:
        raise _not_json("The body is empty")
    if start == b"{" and single:
        return [_one(body)]
    if start not in {b"{", b"["}:
        raise _not_json("The body is JSON's neither object nor array" if _is_json(body) else "The body is not JSON")
    is_array = start == b"["
    if not _is_unusual(body, max_events):
        try:
            return _bounded(_decode_array(body) if is_array else _decode_bulk(body).events, max_events)
        except msgspec.ValidationError as error:
            raise _wrong_shape(error) from error
        except RecursionError:
            pass
        except msgspec.DecodeError as error:
            if not _has_lone_surrogate(body):
                raise _not_json(f"The body is not JSON: {error}") from error
    return await asyncio.to_thread(_split_carefully, body, is_array, max_events)


def _is_unusual(body: bytearray, max_events: int) -> bool:
    return body.count(b",") > COMMAS_PER_EVENT * max(max_events, 1_000)


def _one(body: bytearray) -> bytes:
    """A body that is one object: checked to be JSON, kept whole."""
    event = bytes(body)
    if not _is_json(event):
        raise _not_json("The body is not JSON")
    return event


def _is_json(text: bytes | bytearray) -> bool:
    """Whether the text is JSON by its grammar, lone surrogates and any nesting included."""
    try:
        _check_json(text)
    except RecursionError:
        return True  # nested deeper than anything here reads; the validator refuses the event it is in
    except msgspec.DecodeError:
        neutral = _neutralise(text)
        return neutral != text and _is_json(neutral)
    return True


def _split_carefully(body: bytearray, is_array: bool, max_events: int) -> Slices:
    """Split by counting brackets. Runs in a thread; stops at the first event too many."""
    text = bytes(body)
    start = text.index(b"[") if is_array else _events_array(text)
    slices, end = _elements(text, start, max_events)
    for part in (*slices, text[:start] + b"[]" + text[end:]):
        if not _is_json(part):
            raise _not_json("The body is not JSON")
    return slices


def _events_array(text: bytes) -> int:
    """Where the array of a top-level `events` key begins. Raises Refused where there is none."""
    depth = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
        elif depth == 1 and (found := _EVENTS_KEY.match(text, token.start())):
            return found.end() - 1
    raise _wrong_shape("Object missing required field `events`, an array")


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
            element = text[begin : token.start()].strip()
            if element or elements or depth == 1:  # only `[]` has nothing before its end
                elements.append(element)
            if len(elements) > max_events:
                raise _too_many(max_events)
            if depth == 0:
                return elements, token.end()
            begin = token.end()
    raise _not_json("The body is not JSON: it ends within an array")


def _has_lone_surrogate(body: bytearray) -> bool:
    return any(match.group(1) for match in _ESCAPE.finditer(body))


def _neutralise(text: bytes | bytearray) -> bytes:
    return _ESCAPE.sub(lambda match: _LONE_SURROGATE_STAND_IN if match.group(1) else match.group(), bytes(text))


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
