"""A bare HTTP/1.1 connection that is kept open: it sends any header bytes, and costs a fraction of a full client.

Invariant: an answer is read by its Content-Length, which every answer of the gateway has; anything else is an error.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

ANSWER_WITHIN_S: Final = 30.0
_CHUNK_BYTES: Final = 700
_READ_LIMIT_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read whole; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Broken(Exception):
    """No well-formed answer came."""


class Connection:
    """One connection; made anew where the server has closed it after an answer."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def get(self, path: str, *, within_s: float = ANSWER_WITHIN_S) -> Answer:
        """GET. Raises Broken."""
        return await self._exchange(b"GET %s HTTP/1.1\r\nHost: fuzz\r\n\r\n" % path.encode(), within_s)

    async def post(
        self,
        path: str,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        is_chunked: bool = False,
        within_s: float = ANSWER_WITHIN_S,
    ) -> Answer:
        """POST. Raises Broken where no well-formed answer comes within `within_s`."""
        return await self._exchange(request(path, body, headers, is_chunked=is_chunked), within_s)

    async def _exchange(self, data: bytes, within_s: float) -> Answer:
        try:
            async with asyncio.timeout(within_s):
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection(
                        self._host, self._port, limit=_READ_LIMIT_BYTES
                    )
                assert self._reader is not None
                self._writer.write(data)
                answer = await _read(self._reader)
        except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise Broken(f"no answer: {error!r}") from error
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer


def request(path: str, body: bytes, headers: Sequence[tuple[bytes, bytes]], *, is_chunked: bool = False) -> bytes:
    """A POST as it goes on the wire."""
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"Host: fuzz", *(b"%s: %s" % header for header in headers)]
    if not is_chunked:
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", b""]) + body
    pieces = (body[at : at + _CHUNK_BYTES] for at in range(0, len(body), _CHUNK_BYTES))
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]) + chunks + b"0\r\n\r\n"


async def _read(reader: asyncio.StreamReader) -> Answer:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        status = int(first.split(" ", 2)[1])
        if status != 100:
            break
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if "content-length" not in headers:
        raise ValueError(f"an answer without a Content-Length: {head[:300]!r}")
    return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))
