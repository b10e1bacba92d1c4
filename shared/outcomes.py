"""What can become of an event: closed lists, which are the metric labels too.

Invariant: every accepted event ends as exactly one of STORED, DUPLICATE or DEAD_LETTERED. One that has
no outcome is a bug of ours.
"""

from enum import StrEnum


class RejectReason(StrEnum):
    """Why the gateway refused an event for good. No retry can mend any of these."""

    MALFORMED = "malformed"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_VALUE = "unknown_value"
    BAD_VALUE = "bad_value"
    TOO_LARGE = "too_large"
    FORBIDDEN_SOURCE = "forbidden_source"


class RefuseReason(StrEnum):
    """Why the gateway refused a whole request, having taken nothing of it."""

    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    SLOW = "slow"
    BUSY = "busy"
    BACKLOG = "backlog"
    DRAINING = "draining"
    NOT_CONNECTED = "not_connected"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    RATE = "rate"
    NOT_HTTP = "not_http"
    CONNECTIONS = "connections"
    RECEIPT_TOO_LARGE = "receipt_too_large"


class PublishFailure(StrEnum):
    """Why a message could not be made durable, after all attempts. The sender may retry each of these."""

    TIMEOUT = "timeout"
    NOT_CONNECTED = "not_connected"
    STREAM_FULL = "stream_full"
    NO_STREAM = "no_stream"
    BROKER_ERROR = "broker_error"
    BACKLOG = "backlog"


class Outcome(StrEnum):
    """What became of an accepted event."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    DEAD_LETTERED = "dead_lettered"


class FlushResult(StrEnum):
    """What became of an attempt to store a batch."""

    STORED = "stored"
    ISOLATED = "isolated"
    RETRIED = "retried"


class DeadLetterReason(StrEnum):
    """Why an accepted event could not be stored."""

    UNDECODABLE = "undecodable"
    UNKNOWN_FORMAT = "unknown_format"
    DATA_ERROR = "data_error"
    INTEGRITY_ERROR = "integrity_error"
    MAX_DELIVER = "max_deliver"
