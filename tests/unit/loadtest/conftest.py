"""A fake gateway on a real port, and the rules of the events, both written apart from what they test."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

TYPES = {
    ("facebook", "top"): {"ad.view", "page.like", "comment", "video.view"},
    ("facebook", "bottom"): {"ad.click", "form.submission", "checkout.complete"},
    ("tiktok", "top"): {"video.view", "like", "share", "comment"},
    ("tiktok", "bottom"): {"profile.visit", "purchase", "follow"},
}


def _text(value: object) -> bool:
    # A lone surrogate cannot be encoded, and PostgreSQL takes no NUL.
    return isinstance(value, str) and "\x00" not in value and value.isprintable()


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _amount(value: object) -> bool:
    try:
        return value is None or (isinstance(value, str) and Decimal(value) >= 0)
    except InvalidOperation:
        return False


def _text_or_null(value: object) -> bool:
    return value is None or _text(value)


def _one_of(*allowed: str) -> Callable[[object], bool]:
    return lambda value: value in allowed


def _place(value: object) -> bool:
    return isinstance(value, dict) and _text(value.get("country")) and _text(value.get("city"))


Rules = dict[str, Callable[[object], bool]]
USER: dict[str, Rules] = {
    "facebook": {
        "userId": _text,
        "name": _text,
        "age": _number,
        "gender": _one_of("male", "female", "non-binary"),
        "location": _place,
    },
    "tiktok": {"userId": _text, "username": _text, "followers": _number},
}
ENGAGEMENT: dict[tuple[str, str], Rules] = {
    ("facebook", "top"): {
        "actionTime": _time,
        "referrer": _one_of("newsfeed", "marketplace", "groups"),
        "videoId": _text_or_null,
    },
    ("facebook", "bottom"): {
        "adId": _text,
        "campaignId": _text,
        "clickPosition": _one_of("top_left", "bottom_right", "center"),
        "device": _one_of("mobile", "desktop"),
        "browser": _one_of("Chrome", "Firefox", "Safari"),
        "purchaseAmount": _amount,
    },
    ("tiktok", "top"): {
        "watchTime": _number,
        "percentageWatched": _number,
        "device": _one_of("Android", "iOS", "Desktop"),
        "country": _text,
        "videoId": _text,
    },
    ("tiktok", "bottom"): {
        "actionTime": _time,
        "profileId": _text_or_null,
        "purchasedItem": _text_or_null,
        "purchaseAmount": _amount,
    },
}


def _broken(rules: Rules, value: object, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [path]
    return [f"{path}.{key}" for key, holds in rules.items() if key not in value or not holds(value[key])]


def problems_of(text: str | bytes) -> list[str]:
    """The fields of one event that break the rules of the platforms' tables; empty for a valid event."""
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ["json"]
    key = (event.get("source"), event.get("funnelStage"))
    if key not in TYPES:
        return ["source or funnelStage"]
    envelope: Rules = {"eventId": _text, "timestamp": _time, "eventType": lambda value: value in TYPES[key]}
    data = event.get("data")
    if not isinstance(data, dict):
        return ["data"]
    return [
        *_broken(envelope, event, ""),
        *_broken(USER[key[0]], data.get("user"), "data.user"),
        *_broken(ENGAGEMENT[key], data.get("engagement"), "data.engagement"),
    ]


@pytest.fixture
def rules() -> Callable[[str], list[str]]:
    """The judge of an event's text: → broken fields."""
    return problems_of


@dataclass
class FakeGateway:
    """Follows the outside of the gateway: bulk answers and receipts.

    `script` holds a behaviour for each of the next posts: an HTTP status, "hang", "drop" (before it takes
    anything) or "take and drop"; when it is empty, posts are taken.
    """

    url: str = ""
    script: deque[int | str] = field(default_factory=deque)
    ready: dict[str, Any] = field(default_factory=lambda: {"status": "ready", "checks": {}})
    correlation_ids: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    receipts: dict[str, dict[str, int]] = field(default_factory=dict)
    looks_until_stored: int = 0
    lose: int = 0
    looks: deque[str] = field(default_factory=deque)
    posted: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _looks_of: dict[str, int] = field(default_factory=dict)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_post("/webhook/events/bulk", self._bulk)
        app.router.add_get("/webhook/events/bulk/{id}", self._receipt)
        return app

    async def _ready(self, _: web.Request) -> web.Response:
        return web.json_response(self.ready, status=200 if self.ready["status"] == "ready" else 503)

    async def _bulk(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        correlation_id = request.headers["x-correlation-id"]
        self.correlation_ids.append(correlation_id)
        self.authorizations.append(request.headers.get("Authorization"))
        self.bodies.append(body)
        self.posted.set()
        step = self.script.popleft() if self.script else 200
        if step == "hang":
            await self.closing.wait()
        if step in {"drop", "hang"}:
            return self._dropped(request)
        if isinstance(step, int) and step != 200:
            content = {"title": "Busy", "detail": f"asked to answer {step}", "status": step}
            return web.json_response(
                content, status=step, headers={"Retry-After": "7"}, content_type="application/problem+json"
            )
        answer = self._take(correlation_id, body)
        if step == "take and drop":
            return self._dropped(request)
        return web.json_response(answer, status=200 if answer["processed"] else 422)

    def _dropped(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _take(self, correlation_id: str, body: bytes) -> dict[str, Any]:
        details: list[dict[str, Any]] = []
        receipt = self.receipts.setdefault(correlation_id, {"accepted": 0, "stored": 0, "duplicates": 0})
        # Read with the lenient parser, since one of the invalid events is no strict JSON text.
        events = _lenient(body)
        for index, event in enumerate(events):
            if broken := problems_of(event):
                details.append({"index": index, "code": "bad", "field": broken[0], "message": "is wrong"})
                continue
            parsed = orjson.loads(event)
            key = (parsed["source"], parsed["eventId"])
            receipt["accepted"] += 1
            receipt["duplicates" if key in self._seen else "stored"] += 1
            self._seen.add(key)
        return {
            "success": len(details) < len(events),
            "message": "Bulk processing completed",
            "processed": len(events) - len(details),
            "failed": len(details),
            "errors": [],
            "errorDetails": details,
            "errorsTruncated": False,
            "correlationId": correlation_id,
        }

    async def _receipt(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization"))
        correlation_id = request.match_info["id"]
        self.looks.append(correlation_id)
        receipt = self.receipts.get(correlation_id)
        if receipt is None:
            return web.json_response({"title": "Not Found"}, status=404)
        self._looks_of[correlation_id] = self._looks_of.get(correlation_id, 0) + 1
        early = self._looks_of[correlation_id] <= self.looks_until_stored
        stored = 0 if early else receipt["stored"] - self.lose
        duplicates = 0 if early else receipt["duplicates"]
        pending = receipt["accepted"] - stored - duplicates
        return web.json_response(
            {
                "correlationId": correlation_id,
                "accepted": receipt["accepted"],
                "stored": stored,
                "duplicates": duplicates,
                "deadLettered": 0,
                "pending": pending,
                "complete": pending == 0,
                "requests": 1,
                "failed": 0,
                "bySource": {},
            }
        )


def _lenient(body: bytes) -> list[bytes]:
    """The members of a JSON array of compact events, as they stand in the body."""
    assert body[:1] == b"["
    assert body[-1:] == b"]"
    return [b"{" + part if n else part for n, part in enumerate(_split(body[1:-1]))]


def _split(members: bytes) -> list[bytes]:
    # Every generated event ends the only way two objects of an array can meet.
    parts = members.split(b"},{")
    return [part + b"}" for part in parts[:-1]] + parts[-1:]


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A fake gateway that listens on a free port of loopback."""
    fake = FakeGateway()
    server = TestServer(fake.app())
    await server.start_server()
    fake.url = str(server.make_url("")).rstrip("/")
    yield fake
    fake.closing.set()
    await server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session of the test's own."""
    async with aiohttp.ClientSession() as client:
        yield client


class FakeTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


@pytest.fixture
def time() -> FakeTime:
    """Time under the test's control."""
    return FakeTime()
