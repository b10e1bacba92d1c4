"""Are the services up? Asked once, before a run.

Invariant: a problem comes back as a line a person can act on; nothing is raised for what a server does.
"""

import os
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
import orjson

READY_PATH: Final = "/health/ready"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


async def problems(session: aiohttp.ClientSession, urls: Iterable[str]) -> list[str]:
    """One line for each thing that is down at these base addresses; empty when all are ready."""
    return [line for url in urls for line in await _of_one(session, url)]


async def _of_one(session: aiohttp.ClientSession, url: str) -> list[str]:
    try:
        async with session.get(url + READY_PATH, timeout=_TIMEOUT) as response:
            status, body = response.status, await response.read()
    except aiohttp.ClientConnectorError as error:
        return [f"{url}: cannot connect ({_reason(error.os_error)}); start it with `make run`"]
    except TimeoutError:
        return [f"{url}: {READY_PATH} gave no answer within {_TIMEOUT.total:g} s"]
    except (aiohttp.ClientError, OSError) as error:
        return [f"{url}: {READY_PATH} failed ({type(error).__name__}: {error})"]
    if status == 200:
        return []
    down = _down(body)
    if status == 503 and down:
        return [f"{url}: {name} is down: {detail}" for name, detail in down]
    return [f"{url}: {READY_PATH} answered {status}: {body[:200].decode('utf-8', 'replace')}"]


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _down(body: bytes) -> list[tuple[str, str]]:
    """The checks of a readiness answer that are not ok, as (name, detail)."""
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    checks = content.get("checks") if isinstance(content, dict) else None
    if not isinstance(checks, dict):
        return []
    return [
        (name, str(check.get("detail", "no detail given")))
        for name, check in checks.items()
        if isinstance(check, dict) and not check.get("ok")
    ]
