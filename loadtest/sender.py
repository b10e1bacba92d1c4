"""One bulk request as a good sender makes it, and the gateway's answer to it as data.

Invariant: `post` always returns an Answer; whatever the network or the gateway does becomes an error in it,
and `maybe_taken` is false only where it is certain that the gateway kept no more than `processed`.
"""

from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import orjson

CORRELATION_HEADER: Final = "x-correlation-id"
_BULK_PATH: Final = "/webhook/events/bulk"
# A bulk answer with 1,000 described errors is about 300 kB; more than this is no answer of the gateway.
_MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_NOTHING_TAKEN: Final = frozenset({400, 401, 403, 404, 405, 413, 415, 429})


def credentials(api_key: str | None) -> dict[str, str]:
    """The header that makes a request its sender's; {} for an open gateway."""
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request to send. `body` makes it anew for each attempt: bytes, or pieces as they are generated."""

    correlation_id: str
    events: int
    invalid: int
    repeated: int
    body: Callable[[], bytes | AsyncIterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventError:
    """Refused events of one code in one answer."""

    code: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one attempt. `refused` is set only when the answer covers every event of the request.

    `error` names the kind of failure of the request, or is None: refused events alone are no failure.
    """

    status: int | None
    processed: int = 0
    refused: int | None = None
    error: str | None = None
    example: str = ""
    maybe_taken: bool = False
    retry_after_s: float | None = None
    event_errors: tuple[EventError, ...] = ()


class Sender:
    """Posts bulk requests to one gateway. The session is the caller's, and so is its connection limit."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        url: str,
        timeout_s: float,
        api_key: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._session = session
        self._url = url + _BULK_PATH
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json"} | credentials(api_key)
        self._now = now

    async def post(self, outgoing: Outgoing) -> Answer:
        """One attempt; waits for the answer, at most the timeout. Network and gateway errors never raise."""
        try:
            async with self._session.post(
                self._url,
                data=outgoing.body(),
                headers=self._headers | {CORRELATION_HEADER: outgoing.correlation_id},
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            ) as response:
                body = await _read(response)
                return _answer(outgoing, response.status, response.headers, body, self._now())
        except aiohttp.ClientConnectorError as error:
            return Answer(status=None, error="cannot connect", example=str(error))
        except TimeoutError:
            example = f"no answer within {self._timeout_s:g} s"
            return Answer(status=None, error="timeout", example=example, maybe_taken=True)
        except (aiohttp.ClientError, OSError) as error:
            example = f"{type(error).__name__}: {error}"
            return Answer(status=None, error="connection lost", example=example, maybe_taken=True)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"an answer of more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _answer(outgoing: Outgoing, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
    content = _json_object(body)
    processed, failed = content.get("processed"), content.get("failed")
    retry_after_s = _retry_after_s(headers.get("Retry-After"), now)
    if not isinstance(processed, int) or not isinstance(failed, int):
        return Answer(
            status=status,
            error=_error_kind(status, content),
            example=_example(content, body),
            maybe_taken=status not in _NOTHING_TAKEN,
            retry_after_s=retry_after_s,
        )
    all_invalid = status == 422 and outgoing.invalid == outgoing.events
    complete = status in {200, 422}
    return Answer(
        status=status,
        processed=processed,
        refused=failed if complete else None,
        error=None if status == 200 or all_invalid else _error_kind(status, content),
        example=_example(content, body),
        # What could not be made durable in time may become it all the same.
        maybe_taken=not complete,
        retry_after_s=retry_after_s,
        event_errors=_event_errors(content.get("errorDetails")) if complete else (),
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _error_kind(status: int, content: Mapping[str, Any]) -> str:
    """The status and, where the body has one, what a problem document (RFC 9457) calls it."""
    if 200 <= status < 300:
        return f"{status} that is no bulk answer"
    name = content.get("code") or content.get("title")
    return f"{status} {name}" if isinstance(name, str) else str(status)


def _example(content: Mapping[str, Any], body: bytes) -> str:
    for key in ("detail", "message", "title"):
        if isinstance(text := content.get(key), str):
            return text
    return body[:200].decode("utf-8", "replace")


def _event_errors(details: object) -> tuple[EventError, ...]:
    counts: dict[str, EventError] = {}
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict):
            continue
        code = str(detail.get("code"))
        seen = counts.get(code)
        example = seen.example if seen else f"{detail.get('field')}: {detail.get('message')}"
        counts[code] = EventError(code=code, count=seen.count + 1 if seen else 1, example=example)
    return tuple(counts.values())


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds to wait; RFC 9110 allows a number of seconds or a date. None when absent or neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
