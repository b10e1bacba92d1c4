"""One request of the fuzz run, and what can be told of its events without the product.

Invariant: a case is made from the seed and its number alone, so it can be made again; the expectation is read from
the body by the standard library, which shares no code with the gateway's decoding.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

SINGLE_PATH: Final = "/webhook/events"
BULK_PATH: Final = "/webhook/events/bulk"
REFUSED: Final = -1
"""In place of a number of events: the body must be refused whole."""

_BOM: Final = b"\xef\xbb\xbf"
_MAX_BYTES: Final = 4 * 1024 * 1024
_WBITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`headers` as they go on the wire, without `Host` and the body's length. `origin`: how it was made."""

    number: int
    path: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    is_chunked: bool = False
    origin: str = ""

    def header(self, name: bytes) -> bytes | None:
        """The header's only value; None where there is none, or more than one."""
        found = [value for sent, value in self.headers if sent.lower() == name]
        return found[0] if len(found) == 1 else None

    def saved(self) -> str:
        """As JSON text, to be kept in a file."""
        return json.dumps(
            {
                "number": self.number,
                "path": self.path,
                "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers],
                "isChunked": self.is_chunked,
                "origin": self.origin,
                "bodyBase64": base64.b64encode(self.body).decode(),
                "body": self.body.decode("utf-8", "replace"),
            },
            indent=1,
        )


def events_in(case: Case) -> int | None:
    """How many events the body has, or REFUSED; None where that can't be told without asking the gateway.

    What is no UTF-8 can't be told: it is the body's fault or one event's, by where it stands.
    """
    names = {name.lower() for name, _ in case.headers}
    media, coding = case.header(b"content-type"), case.header(b"content-encoding")
    if b"content-encoding" in names and coding is None:
        return None
    if media == b"application/x-ndjson":
        text = _plain(case.body, coding)
        return None if text is None else sum(1 for line in text.split(b"\n") if line.strip()) or None
    if media != b"application/json":
        return None
    text = _plain(case.body, coding)
    return None if text is None else _events_of(text, is_single=case.path == SINGLE_PATH)


def _plain(body: bytes, coding: bytes | None) -> bytes | None:
    if coding is not None:
        if coding.decode("latin-1") not in _WBITS:
            return None
        decoder = zlib.decompressobj(_WBITS[coding.decode()])
        try:
            body = decoder.decompress(body, _MAX_BYTES)
        except zlib.error:
            return None
        if not decoder.eof or decoder.unused_data or len(body) >= _MAX_BYTES:
            return None
    return body.removeprefix(_BOM)


def _events_of(text: bytes, *, is_single: bool) -> int | None:
    try:
        found = json.loads(text.decode(), parse_constant=_no_constant, object_pairs_hook=_Members)
    except json.JSONDecodeError:
        return REFUSED
    except (ValueError, RecursionError):  # no UTF-8, a number too long for the library, too deep for it
        return None
    if isinstance(found, list):
        return len(found)
    if not isinstance(found, _Members):
        return REFUSED
    if is_single:
        return 1
    named = [value for name, value in found.members if name == "events"]
    return len(named[0]) if len(named) == 1 and isinstance(named[0], list) else REFUSED


class _Members:
    """An object with all its members: a name may come twice."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        self.members = members


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no JSON", name, 0)
