"""Events to send, and ways to spoil them."""

import json
import uuid
from typing import Any

Event = dict[str, Any]


def facebook(**changes: Any) -> Event:
    """A valid event of the bottom of the funnel, with some of its keys changed."""
    return {
        "eventId": f"fb-{uuid.uuid4()}",
        "timestamp": "2026-01-25T17:31:13.660Z",
        "source": "facebook",
        "funnelStage": "bottom",
        "eventType": "checkout.complete",
        "data": {
            "user": {
                "userId": "user-1",
                "name": "Zoë Łukasz",
                "age": 31,
                "gender": "non-binary",
                "location": {"country": "Ecuador", "city": "Quito"},
            },
            "engagement": {
                "adId": "ad-1",
                "campaignId": "camp-1",
                "clickPosition": "center",
                "device": "mobile",
                "browser": "Firefox",
                "purchaseAmount": "12.34",
            },
        },
        **changes,
    }


def tiktok(**changes: Any) -> Event:
    """A valid event of the top of the funnel, with some of its keys changed."""
    return {
        "eventId": f"ttk-{uuid.uuid4()}",
        "timestamp": "2026-01-25T17:31:13.660+02:00",
        "source": "tiktok",
        "funnelStage": "top",
        "eventType": "like",
        "data": {
            "user": {"userId": "user-2", "username": "Ressie7", "followers": 311578},
            "engagement": {
                "watchTime": 72,
                "percentageWatched": 81.5,
                "device": "Android",
                "country": "Ecuador",
                "videoId": "vid-1",
            },
        },
        **changes,
    }


def with_value(event: Event, path: str, value: Any) -> Event:
    """The event with the value at a dotted path replaced."""
    *parents, last = path.split(".")
    at = event
    for key in parents:
        at = at[key]
    at[last] = value
    return event


def without(event: Event, path: str) -> Event:
    """The event with the key at a dotted path gone."""
    *parents, last = path.split(".")
    at = event
    for key in parents:
        at = at[key]
    del at[last]
    return event


def text(event: Any) -> bytes:
    """As JSON; non-ASCII as it is, blanks where `json` has them, so that a rewritten body would show."""
    return json.dumps(event, ensure_ascii=False).encode()


def array(*events: Any) -> bytes:
    """A body of several events, dicts or JSON texts."""
    return b"[" + b",".join(event if isinstance(event, bytes) else text(event) for event in events) + b"]"
