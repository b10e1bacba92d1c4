"""The sockets: how many connections there may be, how long one may idle, and what is no HTTP at all.

Invariant: whatever comes in, the answer is a problem document of ours. aiohttp answers what its parser refuses by
itself, in plain text and with the versions of its parts; here it goes the way of every other error.
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from gateway.correlation import correlation_id_of
from gateway.problems import problem
from shared.errors import Fatal
from shared.http import Connection, harden
from shared.metrics import GatewayMetrics
from shared.outcomes import RefuseReason

_SOCKET_BACKLOG: Final = 1_024
_LINGER_S: Final = 2.0
"""After a refusal, for its sender to read it and to stop sending; then the connection is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a connection may do."""

    max_connections: int
    max_headers: int
    max_header_bytes: int
    idle_timeout_s: float


class Listener(web.BaseSite):
    """One address that connections come to."""

    def __init__(
        self,
        runner: web.BaseRunner,
        host: str,
        port: int,
        *,
        variable: str,
        limits: Limits,
        shared: bool,
        metrics: GatewayMetrics,
    ) -> None:
        super().__init__(runner, backlog=_SOCKET_BACKLOG)
        self._host = host
        self._port = port
        self._variable = variable
        self._limits = limits
        self._shared = shared
        self._metrics = metrics

    @property
    def name(self) -> str:
        """Where it listens; with the port that was asked for until it is started."""
        host, port = self._host, self._port
        if sockets := getattr(self._server, "sockets", None):  # of asyncio's server and of uvloop's
            host, port = sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen. Raises Fatal where the address is taken."""
        await super().start()
        loop = asyncio.get_running_loop()
        server = self._runner.server
        assert isinstance(server, web.Server)  # noqa: S101 - a runner that is set up has one
        try:
            self._server = await loop.create_server(
                self._factory(server, loop),
                self._host,
                self._port,
                backlog=self._backlog,
                reuse_port=self._shared or None,
            )
        except OSError as error:
            raise Fatal(
                f"can't listen on {self._host}:{self._port}: {error.strerror or error}. Set {self._variable} to a "
                "free port, or stop what is using this one"
            ) from error

    def _factory(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> Callable[[], asyncio.BaseProtocol]:
        limits, metrics = self._limits, self._metrics

        def connect() -> asyncio.BaseProtocol:
            if len(server.connections) >= limits.max_connections:
                metrics.requests_refused.labels(RefuseReason.CONNECTIONS).inc()
                return _Full()
            return _Connection(
                server,
                metrics,
                loop=loop,
                auto_decompress=False,  # a signature is over the raw body, and our own decoding is bounded
                lingering_time=_LINGER_S,
                keepalive_timeout=limits.idle_timeout_s,
                max_headers=limits.max_headers,
                max_field_size=limits.max_header_bytes,
                max_line_size=limits.max_header_bytes,
            )

        return connect


class _Connection(Connection):
    """What its parser refuses is answered as a problem document."""

    __slots__ = ("_metrics",)

    def __init__(self, server: web.Server, metrics: GatewayMetrics, **options: Any) -> None:
        super().__init__(server, **options)
        self._metrics = metrics

    def refusal(self, request: web.BaseRequest, status: int, exc: BaseException | None) -> web.StreamResponse:
        """The document, counted."""
        correlation_id = correlation_id_of(request)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return problem(status, "This is a bug of ours; nothing is known about it yet", correlation_id)
        if isinstance(exc, LineTooLong):
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            detail = "The request line or a header is longer than is taken here"
        else:
            detail = "The request is no HTTP/1.1 that is taken here; nothing of it was taken"
        self._metrics.requests_refused.labels(RefuseReason.NOT_HTTP).inc()
        self._metrics.requests.labels("none", status).inc()
        return problem(status, detail, correlation_id, reason=RefuseReason.NOT_HTTP)


class _Full(asyncio.Protocol):
    """A connection too many: answered, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answers at once, whatever would come."""
        answer = problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "There are as many connections here as there may be; come again later",
            str(uuid.uuid4()),
            reason=RefuseReason.CONNECTIONS,
        )
        harden(answer)
        body = answer.body
        assert isinstance(body, bytes)  # noqa: S101 - as `problem` makes it
        headers = {**answer.headers, "Connection": "close", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        out = cast("asyncio.Transport", transport)  # of a TCP server; uvloop's is no subclass
        out.write(f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode() + body)
        out.close()
