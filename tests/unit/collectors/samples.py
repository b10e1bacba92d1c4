"""Events of both platforms in every shape, and deliveries of them, as the broker would hand them out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.wire import MessageHeaders, encode_body
from streams.delivery import Delivery

RECEIVED_AT = datetime(2026, 1, 25, 17, 31, 14, tzinfo=UTC)
SHAPES = ("facebook top", "facebook bottom", "tiktok top", "tiktok bottom")

_ENGAGEMENTS: Mapping[str, dict[str, Any]] = {
    "facebook top": {"actionTime": "2026-01-25T17:31:13Z", "referrer": "newsfeed", "videoId": None},
    "facebook bottom": {
        "adId": "ad-1", "campaignId": "camp-1", "clickPosition": "center", "device": "mobile", "browser": "Firefox",
        "purchaseAmount": None,
    },
    "tiktok top": {"watchTime": 72, "percentageWatched": 81.5, "device": "iOS", "country": "Perú", "videoId": "vid-1"},
    "tiktok bottom": {
        "actionTime": "2026-01-25T17:31:13Z", "profileId": None, "purchasedItem": "Lamp", "purchaseAmount": None,
    },
}  # fmt: skip
_TYPES = {
    "facebook top": "ad.view",
    "facebook bottom": "checkout.complete",
    "tiktok top": "like",
    "tiktok bottom": "purchase",
}


def event(
    event_id: str, shape: str = "facebook bottom", *, user_id: str | None = None, amount: str | None = None
) -> dict[str, Any]:
    """A valid event; its user has an id of its own unless one is given."""
    source, stage = shape.split()
    user: dict[str, Any] = {"userId": user_id or f"user-of-{event_id}"}
    if source == "facebook":
        location = {"country": "Japan", "city": "大阪"}
        user |= {"name": "Zoë 😀", "age": 41, "gender": "non-binary", "location": location}
    else:
        user |= {"username": "Ressie7", "followers": 311578}
    engagement = dict(_ENGAGEMENTS[shape])
    if "purchaseAmount" in engagement:
        engagement["purchaseAmount"] = amount
    return {
        "eventId": event_id,
        "timestamp": "2026-01-25T17:31:13.660Z",
        "source": source,
        "funnelStage": stage,
        "eventType": _TYPES[shape],
        "data": {"user": user, "engagement": engagement},
    }


def encoded(*events: dict[str, Any] | bytes) -> bytes:
    """A message's body."""
    return encode_body(one if isinstance(one, bytes) else orjson.dumps(one) for one in events)


def headers(message_id: str = "m-1", *, correlation_id: str = "c-1", events: int = 1) -> MessageHeaders:
    """As the gateway writes them."""
    return MessageHeaders(message_id=message_id, correlation_id=correlation_id, events=events, received_at=RECEIVED_AT)


def delivery(body: bytes, headers: Mapping[str, str] | None, *, sequence: int = 1, attempts: int = 1) -> Delivery:
    """A delivery without a server behind it: it can be read, and settling it fails."""
    reply = f"$JS.ACK.STREAM.collector.{attempts}.{sequence}.{sequence}.1769362274000000000.0"
    message = Msg(_client=Client(), subject="events", reply=reply, data=body)
    message.headers = dict(headers) if headers is not None else None
    return Delivery(message)


def delivery_of(
    events: Sequence[dict[str, Any] | bytes], message_id: str = "m-1", *, correlation_id: str = "c-1", sequence: int = 1
) -> Delivery:
    """A delivery of these events, with the gateway's headers."""
    about = headers(message_id, correlation_id=correlation_id, events=len(events))
    return delivery(encoded(*events), about.encode(), sequence=sequence)
