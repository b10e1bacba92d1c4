"""What both roles' HTTP has in common: the headers of every answer, and what becomes of what is no HTTP.

Invariant: no answer says what it is made with, and what a parser refuses goes into no log: aiohttp would answer with
the versions of its parts, and log the raw bytes, which are whoever sent them's to choose.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

_HARDENED: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def harden(answer: web.StreamResponse) -> None:
    """Headers that every answer has: it says nothing of what it is made with, and is never taken for a page."""
    answer.headers["Server"] = "floodgate"  # instead of the names and versions of what it is made with
    for name, value in _HARDENED.items():
        answer.headers.setdefault(name, value)


async def hardened(_request: web.Request, answer: web.StreamResponse) -> None:
    """`harden`, for an application's `on_response_prepare`."""
    harden(answer)


class Connection(web.RequestHandler):
    """aiohttp's connection; what its parser refuses, and what fails outside of all handlers, is answered here."""

    __slots__ = ()

    def __init__(self, server: web.Server, **options: Any) -> None:
        super().__init__(server, **{"access_log": None, **options})

    def refusal(self, request: web.BaseRequest, status: int, exc: BaseException | None) -> web.StreamResponse:
        """The answer to what is no HTTP (4xx), or to a bug (500). Another role's connection words it its way."""
        del request, exc
        return web.Response(status=status, text=HTTPStatus(status).phrase)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers, and closes the connection."""
        del message  # it quotes what was sent
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer was sent, so there is no other")
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("A request failed outside of its handler", exc_info=exc)
        answer = self.refusal(request, status, exc)
        harden(answer)
        answer.force_close()
        answer.headers["Connection"] = "close"  # in words, too: what is no HTTP may not look at our version of it
        return answer


class Site(web.BaseSite):
    """One address whose connections are `Connection`s. For ports that only operators reach."""

    def __init__(self, runner: web.BaseRunner, host: str, port: int) -> None:
        super().__init__(runner)
        self._host = host
        self._port = port

    @property
    def name(self) -> str:
        """The address that was asked for."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError where the address is taken."""
        await super().start()
        server, loop = self._runner.server, asyncio.get_running_loop()
        assert isinstance(server, web.Server)  # noqa: S101 - a runner that is set up has one
        self._server = await loop.create_server(lambda: Connection(server, loop=loop), self._host, self._port)
