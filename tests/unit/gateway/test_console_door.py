"""Who may use the console: hosts, origins, content types, scopes."""

from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.console.door import Door, Handler
from gateway.console.examples import examples
from gateway.scopes import Scope
from shared.events import REGISTRY, EventValidator, Rejection

HERE = "127.0.0.1:3000"


class _Asked:
    """Says yes, and remembers what for."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    def __call__(self, _request: web.Request, scope: Scope) -> None:
        self.scopes.append(scope)


async def _done(_request: web.Request) -> web.StreamResponse:
    return web.Response()


async def _knock(handler: Handler, **headers: str) -> int:
    sent = {"Host": HERE} | {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        return (await handler(make_mocked_request("POST", "/console/x", headers=sent))).status
    except web.HTTPException as refused:
        return refused.status


def _door(asked: Any = lambda *_: None, host: str = "127.0.0.1", also: tuple[str, ...] = ()) -> Door:
    return Door(host=host, also=also, requires=asked)


async def test_reading_needs_the_scope_read_acting_admin_and_the_page_none() -> None:
    asked = _Asked()
    door = _door(asked)

    assert await _knock(door.page(_done)) == 200
    assert asked.scopes == []
    assert await _knock(door.reads(_done)) == 200
    assert await _knock(door.acts(_done), Content_Type="application/json") == 200
    assert asked.scopes == [Scope.READ, Scope.ADMIN]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:3000", 200), ("localhost:3000", 200), ("[::1]:3000", 200), ("localhost", 200),
        ("evil.example:3000", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("[", 421),
    ],
)  # fmt: skip
async def test_on_loopback_a_foreign_host_name_opens_nothing(host: str, status: int) -> None:
    door = _door()
    for handler in (door.page(_done), door.reads(_done), door.acts(_done)):
        assert await _knock(handler, Host=host, Content_Type="application/json") == status


async def test_a_name_can_be_allowed_and_elsewhere_all_are() -> None:
    assert await _knock(_door(also=("Console.Example",)).reads(_done), Host="console.example") == 200
    assert await _knock(_door(host="0.0.0.0").reads(_done), Host="gateway.example") == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "none"}, 403),
        ({"Origin": f"http://{HERE}"}, 200),
        ({"Origin": "http://127.0.0.1:4000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_no_other_page_can_act(headers: dict[str, str], status: int) -> None:
    assert await _knock(_door().acts(_done), **{"Content_Type": "application/json"} | headers) == status


def test_there_is_a_valid_example_of_each_platform_and_stage() -> None:
    validator = EventValidator(REGISTRY, max_event_bytes=100_000)
    made = examples(REGISTRY)

    assert [(one["source"], one["stage"]) for one in made] == [
        (platform.source, stage) for platform in REGISTRY for stage in ("top", "bottom")
    ]
    for one in made:
        verdict = validator.validate(orjson.dumps(one["event"]))
        assert not isinstance(verdict, Rejection), verdict
        assert verdict.source == one["source"]
