"""The rules of the events once more, in plain Python: what the models are checked against.

Written from the description of the events alone, and slow and simple on purpose: nothing of the product is
imported. `SHAPES` says for each kind of event what its fields take; `is_valid` judges a parsed event.
"""

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

EVENT_TYPES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("facebook", "top"): ("ad.view", "page.like", "comment", "video.view"),
    ("facebook", "bottom"): ("ad.click", "form.submission", "checkout.complete"),
    ("tiktok", "top"): ("video.view", "like", "share", "comment"),
    ("tiktok", "bottom"): ("profile.visit", "purchase", "follow"),
}

Rule = Callable[[Any], bool]
MISSING = object()
_DIGITS = "0123456789"


def text(value: Any) -> bool:
    """Any string that PostgreSQL can hold."""
    return isinstance(value, str)


def identifier(value: Any) -> bool:
    """A string of 1 to 255 characters."""
    return isinstance(value, str) and 1 <= len(value) <= 255


def number(value: Any) -> bool:
    """A JSON number that double precision holds without loss of a whole."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**53 if isinstance(value, int) else math.isfinite(value) and abs(value) <= 2**53 - 1


def _moment(value: Any, *, offset_needed: bool) -> datetime | None:
    """ISO 8601 as far as it is taken: date, T or blank, hours and minutes, maybe seconds, maybe an offset."""
    if not isinstance(value, str) or not value.isascii():
        return None
    found = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?([Zz]|[+-]\d\d:?\d\d)?", value
    )
    if found is None or (offset_needed and found[8] is None):
        return None
    offset = found[8] or "Z"
    if offset not in "Zz":
        hours, minutes = int(offset[1:3]), int(offset[-2:])
        if hours > 23 or minutes > 59:
            return None
        offset = f"{offset[0]}{hours:02}:{minutes:02}"
    try:
        return datetime.strptime(
            f"{found[1]}-{found[2]}-{found[3]} {found[4]}:{found[5]}:{found[6] or '00'} {offset.upper()}",
            "%Y-%m-%d %H:%M:%S %z",
        )
    except ValueError:
        return None


def timestamp(value: Any) -> bool:
    """With an offset, and a moment of the years 1970 to 9998."""
    moment = _moment(value, offset_needed=True)
    return moment is not None and datetime(1970, 1, 1, tzinfo=UTC) <= moment < datetime(9999, 1, 1, tzinfo=UTC)


def action_time(value: Any) -> bool:
    """An offset may be missing."""
    return _moment(value, offset_needed=False) is not None


def amount(value: Any) -> bool:
    """A plain decimal as text, of numeric(26, 8): no sign, no exponent, no blank."""
    if not isinstance(value, str) or not value or set(value) - {*_DIGITS, "."}:
        return False
    whole, point, part = value.partition(".")
    if "." in part or not 1 <= len(whole) <= 18:
        return False
    return 1 <= len(part) <= 8 if point else True


def one_of(*values: str) -> Rule:
    """One of these strings."""
    return lambda value: isinstance(value, str) and value in values


def or_null(rule: Rule) -> Rule:
    """What the rule takes, or null. Not the same as missing."""
    return lambda value: value is None or rule(value)


_USER: Mapping[str, Mapping[str, Rule]] = {
    "facebook": {
        "userId": identifier,
        "name": text,
        "age": number,
        "gender": one_of("male", "female", "non-binary"),
        "location.country": text,
        "location.city": text,
    },
    "tiktok": {"userId": identifier, "username": text, "followers": number},
}

_ENGAGEMENT: Mapping[tuple[str, str], Mapping[str, Rule]] = {
    ("facebook", "top"): {
        "actionTime": action_time,
        "referrer": one_of("newsfeed", "marketplace", "groups"),
        "videoId": or_null(text),
    },
    ("facebook", "bottom"): {
        "adId": text,
        "campaignId": text,
        "clickPosition": one_of("top_left", "bottom_right", "center"),
        "device": one_of("mobile", "desktop"),
        "browser": one_of("Chrome", "Firefox", "Safari"),
        "purchaseAmount": or_null(amount),
    },
    ("tiktok", "top"): {
        "watchTime": number,
        "percentageWatched": number,
        "device": one_of("Android", "iOS", "Desktop"),
        "country": text,
        "videoId": text,
    },
    ("tiktok", "bottom"): {
        "actionTime": action_time,
        "profileId": or_null(text),
        "purchasedItem": or_null(text),
        "purchaseAmount": or_null(amount),
    },
}

KINDS = tuple(EVENT_TYPES)


def shape(source: str, stage: str) -> dict[str, Rule]:
    """Every field of a kind of event, by its dotted path, with what it takes."""
    return {
        "eventId": identifier,
        "timestamp": timestamp,
        "source": one_of(source),
        "funnelStage": one_of(stage),
        "eventType": one_of(*EVENT_TYPES[source, stage]),
        **{f"data.user.{path}": rule for path, rule in _USER[source].items()},
        **{f"data.engagement.{path}": rule for path, rule in _ENGAGEMENT[source, stage].items()},
    }


def is_valid(event: Any) -> bool:
    """Whether an event is to be accepted."""
    if not isinstance(event, dict):
        return False
    source, stage = event.get("source"), event.get("funnelStage")
    if not isinstance(source, str) or not isinstance(stage, str) or (source, stage) not in EVENT_TYPES:
        return False
    return all(rule(get(event, path)) for path, rule in shape(source, stage).items()) and not any(
        "\0" in word or any("\ud800" <= character <= "\udfff" for character in word) for word in words(event)
    )


def words(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield key
            yield from words(child)
    elif isinstance(value, list):
        for child in value:
            yield from words(child)


def get(event: Any, path: str) -> Any:
    """The value at a dotted path; MISSING where the way there ends."""
    for key in path.split("."):
        if not isinstance(event, dict) or key not in event:
            return MISSING
        event = event[key]
    return event


def put(event: Any, path: str, value: Any) -> Any:
    """A copy of the event with another value at a dotted path; MISSING takes the key away."""
    changed = copy.deepcopy(event)
    *way, last = path.split(".")
    place = changed
    for key in way:
        place = place[key]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return changed


def paths(event: Any, prefix: str = "") -> list[str]:
    """Every dotted path of an event, objects too."""
    found = []
    for key, value in event.items():
        found.append(prefix + key)
        if isinstance(value, dict):
            found += paths(value, f"{prefix}{key}.")
    return found


def sample(source: str, stage: str) -> dict[str, Any]:
    """A valid event, with a value in every field that may be null."""
    users: dict[str, dict[str, Any]] = {
        "facebook": {
            "userId": "u-1",
            "name": "Ada Secretname",
            "age": 41,
            "gender": "non-binary",
            "location": {"country": "Secretland", "city": "Hiddenville"},
        },
        "tiktok": {"userId": "u-2", "username": "Secretname7", "followers": 311578},
    }
    engagements: dict[tuple[str, str], dict[str, Any]] = {
        ("facebook", "top"): {"actionTime": "2026-01-25T17:31:13.660Z", "referrer": "groups", "videoId": "vid-1"},
        ("facebook", "bottom"): {
            "adId": "ad-1",
            "campaignId": "c-1",
            "clickPosition": "center",
            "device": "mobile",
            "browser": "Firefox",
            "purchaseAmount": "12.34",
        },
        ("tiktok", "top"): {
            "watchTime": 72,
            "percentageWatched": 81.5,
            "device": "Android",
            "country": "Ecuador",
            "videoId": "vid-xFvZ4EFd",
        },
        ("tiktok", "bottom"): {
            "actionTime": "2026-01-25T17:31:13.660Z",
            "profileId": "p-1",
            "purchasedItem": "hat",
            "purchaseAmount": "0.99",
        },
    }
    return {
        "eventId": f"{source}-{stage}-1",
        "timestamp": "2026-01-25T17:31:13.660Z",
        "source": source,
        "funnelStage": stage,
        "eventType": EVENT_TYPES[source, stage][0],
        "data": {"user": users[source], "engagement": engagements[source, stage]},
    }
