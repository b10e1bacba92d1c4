"""The gateway's HTTP: one application on the public port, and one on the internal port where that is set.

Invariant: every request is counted, every error is a problem document, and every answer says nothing of what it is made
with, whichever port it came to.
"""

from contextlib import AsyncExitStack
from time import perf_counter

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway import problems
from gateway.answered import AnsweredRequests
from gateway.listener import Limits, Listener
from gateway.settings import AccessSettings, GatewaySettings
from shared.http import hardened
from shared.logs import Logger
from shared.metrics import GatewayMetrics


class Front:
    """Both applications, and their addresses once they listen. Without an internal port they are one."""

    def __init__(
        self,
        settings: GatewaySettings,
        access: AccessSettings,
        *,
        outermost: Middleware | None,
        answered: AnsweredRequests,
        log: Logger,
        metrics: GatewayMetrics,
    ) -> None:
        self._settings = settings
        self._access = access
        self._outermost = outermost
        self._answered = answered
        self._log = log
        self._metrics = metrics
        self.public = self._application()
        self.internal = self.public if access.internal_port is None else self._application()
        self.url = ""
        self.internal_url = ""

    @property
    def internal_host(self) -> str:
        """The address that what is read is read at."""
        return self._settings.host if self.internal is self.public else self._access.internal_host

    async def listen(self, stack: AsyncExitStack) -> None:
        """Take connections until the stack is closed. Raises Fatal where an address is taken."""
        self.url = await self._open(stack, self.public, self._settings.host, self._settings.port, "PORT")
        self.internal_url = self.url
        if self._access.internal_port is not None:
            host, port = self._access.internal_host, self._access.internal_port
            self.internal_url = await self._open(stack, self.internal, host, port, "INTERNAL_PORT")

    async def _open(self, stack: AsyncExitStack, app: web.Application, host: str, port: int, variable: str) -> str:
        settings = self._settings
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        limits = Limits(
            max_connections=settings.max_connections,
            max_headers=settings.max_headers,
            max_header_bytes=settings.max_header_bytes,
            idle_timeout_s=settings.idle_timeout_ms / 1_000,
        )
        listener = Listener(
            runner, host, port, variable=variable, limits=limits, shared=settings.workers > 1, metrics=self._metrics
        )
        await listener.start()
        return listener.name

    def _application(self) -> web.Application:
        own = (self._counted(), problems.middleware(self._log, self._metrics))
        app = web.Application(middlewares=[*([self._outermost] if self._outermost else []), *own])
        app.on_response_prepare.append(hardened)
        return app

    def _counted(self) -> Middleware:
        """Counts requests by route and status, and notes webhook requests for the console.

        The route is its pattern, never what was sent.
        """

        @web.middleware
        async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
            started = perf_counter()
            answer = await handler(request)
            route = problems.route_of(request)
            self._metrics.requests.labels(route, answer.status).inc()
            if request.method == "POST" and route.startswith("/webhook/"):
                self._answered.note(request, answer, perf_counter() - started)
            return answer

        return counted
