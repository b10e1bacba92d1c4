"""Is it ready? A probe answers True or False, also for a server that is not there, and is bounded in time."""

import asyncio
import contextlib
import socket
from urllib.parse import urlsplit

PROBE_TIMEOUT_S = 2.0
STATUS_LINE_PARTS = 2
MOST_TEXT_BYTES = 4 * 2**20


async def http_ok(url: str) -> bool:
    """Whether a GET of `url` (plain http) answers 200 within `PROBE_TIMEOUT_S`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await _status(host, port, parts.path or "/") == 200
    except (OSError, TimeoutError, socket.gaierror):
        return False


async def http_text(url: str) -> str | None:
    """The body of a GET of `url` (plain http) that answers 200 within `PROBE_TIMEOUT_S`, else None."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            answer = await _answer(host, port, parts.path or "/")
    except (OSError, TimeoutError, socket.gaierror):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode("utf-8", "replace") if head.split(maxsplit=2)[1:2] == [b"200"] else None


async def _answer(host: str, port: int, path: str) -> bytes:
    """Head and body. HTTP/1.0, so that the body comes as it is and ends with the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
        answer = bytearray()
        while len(answer) < MOST_TEXT_BYTES and (piece := await reader.read(65_536)):
            answer += piece
        return bytes(answer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _status(host: str, port: int, path: str) -> int | None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        words = (await reader.readline()).split()
    except ValueError:  # a first line longer than any status line
        return None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return int(words[1]) if len(words) >= STATUS_LINE_PARTS and words[1].isdigit() else None
