"""`/openapi.json`, `/docs` and its files: made or read at the first request, then kept, plain and compressed.

Invariant: a page asks nothing of another host, and its Content-Security-Policy says so to the browser. Files are
named one by one, so no path that a client sends is ever opened.
"""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import orjson
from aiohttp import ETag, web

from gateway.api.document import openapi
from gateway.problem_types import PROBLEM_TYPES, PROBLEMS_PATH
from gateway.settings import GatewaySettings
from shared.events import Registry

_TAKES_GZIP: Final = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
_FOLDER: Final = Path(__file__).parent.parent / "static" / "docs"

FILES: Final[Mapping[str, str]] = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "start.js": "text/javascript",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
}
"""Files of the page and their media types."""

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    # data: for the pictures within the viewer's style sheet
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # kept by browsers, and asked for by its ETag: a new version shows at once
}


@dataclass(frozen=True, slots=True)
class _Page:
    body: bytes
    compressed: bytes
    etag: ETag


class ApiPages:
    """The routes by which the API describes itself."""

    def __init__(self, registry: Registry, settings: GatewaySettings) -> None:
        self._makers: dict[str, Callable[[], bytes]] = {
            "/openapi.json": lambda: orjson.dumps(openapi(registry, settings)),
            "/docs": (_FOLDER / "index.html").read_bytes,
            PROBLEMS_PATH: _problems_page,
            **{f"/docs/{name}": (_FOLDER / name).read_bytes for name in FILES},
        }
        self._pages: dict[str, _Page] = {}

    def add_routes(self, app: web.Application) -> None:
        """Add the routes to an application."""
        app.router.add_get("/openapi.json", self.page)
        app.router.add_get("/docs", self.page)
        app.router.add_get("/docs/{file}", self.page)

    async def page(self, request: web.Request) -> web.Response:
        """A page or a file, compressed where the client takes it; 304 where it has it already."""
        if request.path not in self._makers:
            raise web.HTTPNotFound
        page = await self._made(request.path)
        headers = {**SECURITY_HEADERS, "Vary": "Accept-Encoding"}
        if page.etag.value in {tag.value for tag in request.if_none_match or ()}:
            answer = web.Response(status=304, headers=headers)
        elif _TAKES_GZIP.search(request.headers.get("Accept-Encoding", "")):
            answer = web.Response(body=page.compressed, headers=headers | {"Content-Encoding": "gzip"})
        else:
            answer = web.Response(body=page.body, headers=headers)
        if answer.status != 304:
            answer.content_type, answer.charset = _media_type(request.path)
        answer.etag = page.etag
        return answer

    async def _made(self, path: str) -> _Page:
        if path not in self._pages:
            self._pages[path] = await asyncio.to_thread(_page, self._makers[path])
        return self._pages[path]


def _page(make: Callable[[], bytes]) -> _Page:
    body = make()
    # weak, as both forms have the same
    etag = ETag(hashlib.sha256(body).hexdigest()[:32], is_weak=True)
    return _Page(body, gzip.compress(body, mtime=0), etag)


def _media_type(path: str) -> tuple[str, str | None]:
    if path == "/openapi.json":
        return "application/json", None
    return FILES.get(path.removeprefix("/docs/"), "text/html"), "utf-8"


def _problems_page() -> bytes:
    """The page that the problem types lead to."""
    entries = "\n".join(
        f'<h2 id="{kind.name}">{escape(kind.title)}</h2>\n'
        f"<p><code>{kind.uri}</code>, status {kind.status.value}</p>\n"
        f"<p>{escape(kind.meaning)}</p>\n<p>{escape(kind.remedy)}</p>"
        for kind in PROBLEM_TYPES.values()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Floodgate: problems</title>\n'
        '<link rel="icon" href="data:,">\n</head>\n<body>\n<h1>Problems</h1>\n'
        "<p>What the <code>type</code> of a problem document means, and what helps. "
        f"<code>about:blank</code>: its status and its detail say it all.</p>\n{entries}\n</body>\n</html>\n"
    ).encode()
