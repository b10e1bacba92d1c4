"""The page at `/` and its files, read once and held in memory: there are few, and they are small."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway.console.headers import SECURITY

FOLDER: Final = Path(__file__).parents[1] / "static" / "console"
PAGE: Final = "index.html"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The types of what is served; files of any other kind (a licence) are not."""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    headers: Mapping[str, str]


class Pages:
    """Serves them. Browsers ask each time and are told where nothing has changed."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in folder.rglob("*")
            if path.is_file() and path.suffix in _TYPES
        }

    async def page(self, request: web.Request) -> web.Response:
        """`GET /`."""
        return _answer(request, self._files[PAGE])

    async def asset(self, request: web.Request) -> web.Response:
        """`GET /console/assets/{name}`. The name is looked up, never made into a path."""
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        return _answer(request, file)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    tag = blake2b(body, digest_size=12).hexdigest()
    headers = {**SECURITY, "Content-Type": _TYPES[path.suffix], "ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    return _File(body, headers)


def _answer(request: web.Request, file: _File) -> web.Response:
    if request.headers.get("If-None-Match") == file.headers["ETag"]:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=file.headers)
    return web.Response(body=file.body, headers=file.headers)
