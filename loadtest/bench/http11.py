"""As much of HTTP/1.1 (RFC 9112) as it takes to load a gateway with next to no CPU of one's own.

Invariant: a request leaves as one head and one body, neither of them copied; an answer is read to its last byte.
Only for answers with a Content-Length, which is what the gateway gives. Blocking sockets: a thread a connection.
"""

import re
import select
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 120.0
_CHUNK_BYTES: Final = 1 << 18
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STATUS: Final = slice(9, 12)  # of "HTTP/1.1 200 OK"


class BadAnswer(Exception):
    """The connection ended within an answer, or the answer is not of the kind that is read here."""


class ClosedWithoutAnswer(BadAnswer):
    """The connection ended before the first byte of an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body."""

    status: int
    body: bytes


def head(
    url: str, *, size_bytes: int, correlation_id: str | None = None, headers: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """The head of a POST of JSON."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path}{parts.query and '?'}{parts.query} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {size_bytes}",
        *([f"x-correlation-id: {correlation_id}"] if correlation_id else []),
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def get(url: str) -> bytes:
    """A whole GET."""
    parts = urlsplit(url)
    return f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode("ascii")


def connect(url: str) -> socket.socket:
    """A connection to the URL's host. Raises OSError."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port or 80), timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def parse(data: bytes | bytearray) -> tuple[Answer, int] | None:
    """The answer that `data` begins with, and its length; None while it is not all there. Raises BadAnswer."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = _LENGTH.search(data, 0, end)
    if found is None or not data.startswith(b"HTTP/1."):
        raise BadAnswer(f"no answer with a Content-Length: {bytes(data[:200])!r}")
    begin = end + 4
    if len(data) < (whole := begin + int(found.group(1))):
        return None
    return Answer(int(data[_STATUS]), bytes(data[begin:whole])), whole


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed an idle connection, as far as is known here by now. Does not block."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)  # nothing was asked, so nothing but the end can have come


def ask(connection: socket.socket, head: bytes, body: memoryview) -> Answer:
    """Sends one request and reads its answer; blocks. Raises BadAnswer or OSError."""
    try:
        connection.sendall(head)
        connection.sendall(body)
    except ConnectionError as error:
        raise ClosedWithoutAnswer(f"the connection was closed while a request was sent: {error}") from error
    return receive(connection)


def receive(connection: socket.socket) -> Answer:
    """Reads one answer; blocks. Raises BadAnswer or OSError."""
    data = bytearray()
    while (parsed := parse(data)) is None:
        try:
            piece = connection.recv(_CHUNK_BYTES)
        except ConnectionError as error:
            raise _closed(data, str(error)) from error
        if not piece:
            raise _closed(data, "end of stream")
        data += piece
    return parsed[0]


def _closed(data: bytearray, how: str) -> BadAnswer:
    if data:
        return BadAnswer(f"the connection was closed within an answer: {how}")
    return ClosedWithoutAnswer(f"the connection was closed before an answer: {how}")
