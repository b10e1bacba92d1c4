"""Who may use the console's routes: the right host, the right page, the right scope.

Invariant: no page of another origin can read through an operator's browser, nor act. Reading needs the scope
`read`, acting `admin`. An action must come as JSON and, from a browser, from the console's own page (CSRF);
on a loopback address the Host header must name one, so that a foreign name made to point here (DNS
rebinding) opens nothing.
"""

import functools
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from gateway.scopes import Scope

Requires = Callable[[web.Request, Scope], object]
"""Raises `Refused` where the request may not do what the scope names."""

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Wraps handlers. `host` is what the gateway listens on; `also` are names that stand for it beside that."""

    def __init__(self, *, host: str, also: Iterable[str], requires: Requires) -> None:
        self._checks_host = is_loopback(host)
        self._also = frozenset(name.lower() for name in also)
        self._requires = requires

    def page(self, handler: Handler) -> Handler:
        """For what holds no data: the page and its files."""

        @functools.wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            self._check_host(request)
            return await handler(request)

        return guarded

    def reads(self, handler: Handler) -> Handler:
        """For what shows data."""

        @functools.wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            self._check_host(request)
            self._requires(request, Scope.READ)
            return await handler(request)

        return guarded

    def acts(self, handler: Handler) -> Handler:
        """For what changes something."""

        @functools.wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            self._check_host(request)
            _check_origin(request)
            if request.content_type != "application/json":
                raise web.HTTPUnsupportedMediaType(reason="Actions are sent as application/json")
            self._requires(request, Scope.ADMIN)
            return await handler(request)

        return guarded

    def _check_host(self, request: web.Request) -> None:
        name = _host_name(request.headers.get("Host", ""))
        if self._checks_host and not is_loopback(name) and name not in self._also:
            raise web.HTTPMisdirectedRequest(
                reason="The console is open to this machine only; to reach it by another name, set CONSOLE_HOSTS"
            )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_origin(request: web.Request) -> None:
    """Raises 403 for a browser's request from another page; programs send neither header, and have no cookies."""
    fetched_from = request.headers.get("Sec-Fetch-Site")
    if fetched_from is not None:
        is_ours = fetched_from == "same-origin"
    else:
        origin = request.headers.get("Origin")
        is_ours = origin is None or urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()
    if not is_ours:
        raise web.HTTPForbidden(reason="Actions are taken from the console's own page only")


def _host_name(host: str) -> str:
    """Without the port, and without the brackets of IPv6."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
