"""What kinds of problem there are, in words: the `type` and `title` of a problem document.

Invariant: every reason to refuse a request has one type, and a type never changes its name: senders' programs
compare it. A problem that its status says all about has none: it is `about:blank` (RFC 9457, 4.2.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from shared.outcomes import RefuseReason

PROBLEMS_PATH: Final = "/docs/problems"
"""A type is a relative reference with a full path (RFC 9457, 3.1.1): it opens the page that explains it."""

NO_TYPE: Final = "about:blank"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem: its status, its name in the URI, a title that never varies, when it comes, what helps."""

    status: HTTPStatus
    name: str
    title: str
    meaning: str
    remedy: str

    @property
    def uri(self) -> str:
        """The `type` of its documents."""
        return f"{PROBLEMS_PATH}#{self.name}"


PROBLEM_TYPES: Final[Mapping[RefuseReason, ProblemType]] = {
    RefuseReason.NOT_JSON: ProblemType(
        HTTPStatus.BAD_REQUEST,
        "not-json",
        "The body can't be read as events",
        "It is not JSON, not in the encoding it claims, neither an object nor an array, or it broke off.",
        "Mend the body; sent again as it is, it is refused again.",
    ),
    RefuseReason.TOO_LARGE: ProblemType(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too-large",
        "The request is too large",
        "It has more events, or more bytes after decompression, than one request may have.",
        "Send the events in several requests.",
    ),
    RefuseReason.MEDIA_TYPE: ProblemType(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "media-type",
        "A media type or encoding that is not spoken here",
        "Content-Type or Content-Encoding names something else than the description of the route does.",
        "Send JSON or NDJSON in UTF-8, plain or as gzip, deflate or zstd.",
    ),
    RefuseReason.SLOW: ProblemType(
        HTTPStatus.REQUEST_TIMEOUT,
        "slow",
        "The body did not arrive in time",
        "The sender took longer to send its body than BODY_TIMEOUT.",
        "Send the request again, on a better line or in parts.",
    ),
    RefuseReason.BUSY: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy",
        "The gateway is working on as much as it can hold",
        "The requests in flight take up their number or their memory.",
        "Send the same request again after Retry-After, with jitter.",
    ),
    RefuseReason.BACKLOG: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "backlog",
        "The collectors are too far behind",
        "A stream holds nearly as many events that are not stored yet as it may.",
        "Send the same request again after Retry-After, backing off: this can take minutes.",
    ),
    RefuseReason.DRAINING: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "draining",
        "The gateway is stopping",
        "It finishes what it has, and takes nothing new.",
        "Send the same request again; another gateway, or the next one, takes it.",
    ),
    RefuseReason.NOT_CONNECTED: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not-connected",
        "The gateway has no connection to JetStream",
        "It can make nothing durable now, so it takes nothing.",
        "Send the same request again after Retry-After; it reconnects by itself.",
    ),
    RefuseReason.UNAUTHENTICATED: ProblemType(
        HTTPStatus.UNAUTHORIZED,
        "unauthenticated",
        "The sender is not known",
        "There is no valid API key, or the signature does not fit the body, its sender or the time.",
        "Send the key as x-api-key or Authorization: Bearer, or sign as the sender's settings say.",
    ),
    RefuseReason.FORBIDDEN: ProblemType(
        HTTPStatus.FORBIDDEN,
        "forbidden",
        "The sender may not do this",
        "It is known, and lacks the scope; or a handshake has not the verify token.",
        "Ask whoever runs the gateway for the scope.",
    ),
    RefuseReason.RATE: ProblemType(
        HTTPStatus.TOO_MANY_REQUESTS,
        "rate",
        "The sender is over its rate",
        "It has sent as many requests, events or bytes as it may in RATE_WINDOW.",
        "Send the same request again after Retry-After; RateLimit says what is left.",
    ),
    RefuseReason.NOT_HTTP: ProblemType(
        HTTPStatus.BAD_REQUEST,
        "not-http",
        "No HTTP that is taken here",
        "The request line, a header or a chunk is malformed, too long (431), or one of too many.",
        "Mend the client; the connection was closed.",
    ),
    RefuseReason.CONNECTIONS: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "connections",
        "There are too many connections",
        "The gateway has as many as MAX_CONNECTIONS.",
        "Come again after Retry-After, and keep connections alive.",
    ),
    RefuseReason.RECEIPT_TOO_LARGE: ProblemType(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "receipt-too-large",
        "The correlation id was used too often for a receipt",
        "More requests, or more stored messages, have it than a receipt sums.",
        "Give each request an id of its own; what became of these is in the table batches.",
    ),
}
