"""A request's body in, whole, decompressed and within its limits, or a refusal.

Invariant: nothing is parsed here, and nothing is held that admission has not booked, but for two megabytes of a larger
body whose signature is being summed, and one that was just decompressed.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from aiohttp import ClientConnectionError, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.access import Caller
from gateway.admission import Ticket
from gateway.decompress import CODINGS, BrokenEncoding, Decompressor
from gateway.problems import Refused
from gateway.turns import Turns
from shared.outcomes import RefuseReason

_BOM: Final = b"\xef\xbb\xbf"
_CHUNK_BYTES: Final = 64 * 1024
"""Of a body whose signature was checked, fed to its decompressor at a time."""
_FIRST_PIECE_BYTES: Final = 64 * 1024
"""What most compressed requests have in all: it waits for no turn."""
_PIECE_BYTES: Final = 1024 * 1024
"""Decompressed in a turn, at most: 2 ms."""
_SUMMED_BYTES: Final = 1024 * 1024
"""Summed in a thread at a time, while the next ones come in. A quarter of it costs more in hand-overs than it saves."""
_SUMMERS: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="summing")
"""Not asyncio's own threads: bodies that are split there may hold all of them for seconds."""


class MediaType(Enum):
    """The media types spoken here."""

    JSON = auto()
    NDJSON = auto()


_MEDIA_TYPES: Final = {
    "application/json": MediaType.JSON,
    "text/json": MediaType.JSON,
    "application/x-ndjson": MediaType.NDJSON,
    "application/ndjson": MediaType.NDJSON,
}


def media_type(request: web.Request) -> MediaType:
    """What the body claims to be; JSON where it claims nothing. Raises Refused (415)."""
    if "Content-Type" not in request.headers:
        return MediaType.JSON
    found = _MEDIA_TYPES.get(request.content_type)
    charset = (request.charset or "utf-8").lower()
    if found is None or charset not in {"utf-8", "utf8", "us-ascii"}:
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            RefuseReason.MEDIA_TYPE,
            f"Content-Type {request.headers['Content-Type'][:100]!r}: takes application/json or "
            "application/x-ndjson, in UTF-8",
        )
    return found


async def read_body(
    request: web.Request, ticket: Ticket, caller: Caller, *, max_bytes: int, timeout_s: float, turns: Turns
) -> bytearray:
    """The whole body, its signature checked, then decompressed. Waits for the sender.

    `turns`: taken while a piece of a large body is decompressed. Raises Refused: 400 broken encoding, 401 wrong
    signature, 408 too slow, 413 over `max_bytes`, 415 unknown coding, 503 over the cap of bytes in flight.
    """
    decompressor, is_sealed = _decompressor(request), caller.seal is not None
    announced = request.content_length or 0
    if announced > max_bytes:
        raise _too_large(max_bytes)
    ticket.book(announced)
    summing = _Summing(caller, apart=announced > _SUMMED_BYTES or request.content_length is None)
    held = _Held(ticket, max_bytes, turns)
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                await summing.take(chunk)
                if decompressor is None or is_sealed:
                    held.add(chunk)
                else:
                    await held.decode(chunk, decompressor)
            await summing.check()
            if decompressor is not None and is_sealed:
                raw, held = held.body, _Held(ticket, max_bytes, turns, beside_bytes=len(held.body))
                for start in range(0, len(raw), _CHUNK_BYTES):
                    await held.decode(bytes(raw[start : start + _CHUNK_BYTES]), decompressor)
        if decompressor is not None:
            decompressor.finish()
    except BrokenEncoding as error:
        coding = request.headers.get("Content-Encoding", "")
        raise _bad_request(f"The body is not valid {coding}: {error}") from error
    except TimeoutError as error:
        raise Refused(
            HTTPStatus.REQUEST_TIMEOUT,
            RefuseReason.SLOW,
            f"The body did not arrive within {timeout_s:g} s; nothing of it was taken",
        ) from error
    except (HttpProcessingError, ClientConnectionError, ConnectionResetError, web.RequestPayloadError) as error:
        raise _bad_request(f"The body could not be read: {error}") from error
    if held.body.startswith(_BOM):
        del held.body[: len(_BOM)]
    return held.body


class _Held:
    """A body as it grows. What would make it too large is refused, and the rest is booked, before it is held."""

    def __init__(self, ticket: Ticket, max_bytes: int, turns: Turns, *, beside_bytes: int = 0) -> None:
        self._ticket = ticket
        self._max_bytes = max_bytes
        self._turns = turns
        self._beside_bytes = beside_bytes
        self._is_begun = False
        self.body = bytearray()

    def add(self, piece: bytes | bytearray) -> None:
        """Raises Refused (413, 503)."""
        held_bytes = len(self.body) + len(piece)
        if held_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        self._ticket.book(self._beside_bytes + held_bytes)
        self.body += piece

    async def decode(self, chunk: bytes, decompressor: Decompressor) -> None:
        """Add what is in a chunk, piece by piece, each in a turn of its own. Raises Refused and BrokenEncoding."""
        decompressor.feed(chunk)
        while decompressor.has_more:
            async with self._turns if self._is_begun else nullcontext():
                self.add(decompressor.piece(_PIECE_BYTES if self._is_begun else _FIRST_PIECE_BYTES))
            self._is_begun = True


class _Summing:
    """Feeds a caller's seal; `apart`, in a thread while the next part of the body comes in: hashing lets others run.

    In order, and in no more than one thread at a time. Does nothing where there is no seal.
    """

    def __init__(self, caller: Caller, *, apart: bool) -> None:
        self._caller = caller
        self._apart = apart
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._under_way: asyncio.Future[None] | None = None

    async def take(self, chunk: bytes) -> None:
        """The next raw bytes. Waits where the thread is a part behind."""
        if (seal := self._caller.seal) is None:
            return
        if not self._apart:
            seal.feed([chunk])
            return
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        if self._bytes >= _SUMMED_BYTES:
            await self._thread()
            chunks, self._chunks, self._bytes = self._chunks, [], 0
            self._under_way = asyncio.get_running_loop().run_in_executor(_SUMMERS, seal.feed, chunks)

    async def check(self) -> None:
        """After the last byte. Raises Refused (401) where the seal does not fit."""
        await self._thread()
        if self._caller.seal is not None:
            self._caller.seal.feed(self._chunks)
        self._caller.check()

    async def _thread(self) -> None:
        if self._under_way is not None:
            await self._under_way


def _decompressor(request: web.Request) -> Decompressor | None:
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding == "identity":
        return None
    try:
        return Decompressor(coding)
    except KeyError:
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            RefuseReason.MEDIA_TYPE,
            f"Content-Encoding {coding[:100]!r}: takes {', '.join(CODINGS)}, or none",
        ) from None


def _too_large(max_bytes: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        RefuseReason.TOO_LARGE,
        f"The body has more than {max_bytes} bytes after decompression; nothing of it was taken. Send it in parts",
    )


def _bad_request(detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, RefuseReason.NOT_JSON, detail)
