"""The correlation id: the sender's where it is sane, else a new one. One per request, everywhere the same."""

import re
import uuid
from typing import Final

from aiohttp import web

CORRELATION_HEADER: Final = "x-correlation-id"

SANE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context
_KEY: Final = web.RequestKey("correlation_id", str)


def is_sane(correlation_id: str) -> bool:
    """Whether it can stand in headers, logs and tables as it is: printable ASCII, 128 characters at most."""
    return SANE.fullmatch(correlation_id) is not None


def correlation_id_of(request: web.BaseRequest) -> str:
    """The request's correlation id; the same at every call."""
    if _KEY in request:
        return request[_KEY]
    sent = request.headers.get(CORRELATION_HEADER, "")
    correlation_id = sent if is_sane(sent) else str(uuid.uuid4())
    request[_KEY] = correlation_id
    return correlation_id


def traceparent_of(request: web.BaseRequest) -> str | None:
    """The request's W3C trace context, where it is well-formed."""
    sent = request.headers.get("traceparent", "")
    return sent if _TRACEPARENT.fullmatch(sent) else None
