"""The named ways in which a sender spoils an event.

Invariant: each corruption turns a valid event of any platform into one that no retry can mend, so the number
of refused events of a run is known before it starts. The text stays JSON: one spoiled event never breaks the
body around it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from loadtest.platforms import Platform

Event = dict[str, Any]

# orjson refuses to write a lone surrogate, so this stands in for it until the text is made.
_SURROGATE_MARK: Final = "lone-surrogate-goes-here"


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way to spoil an event. `spoil` changes the event in place; `stage` is the funnel stage it needs."""

    name: str
    spoil: Callable[[Event, Platform], None]
    stage: str = "top"


def corrupt(text: str, corruption: Corruption, platform: Platform) -> str:
    """The JSON text of a valid event (of the corruption's stage) → the same event, spoiled, as JSON text."""
    event = orjson.loads(text)
    corruption.spoil(event, platform)
    return orjson.dumps(event).decode().replace(_SURROGATE_MARK, "\\ud800")


def _missing_user_id(event: Event, _: Platform) -> None:
    del event["data"]["user"]["userId"]


def _missing_data(event: Event, _: Platform) -> None:
    del event["data"]


def _null_event_id(event: Event, _: Platform) -> None:
    event["eventId"] = None


def _number_as_text(event: Event, platform: Platform) -> None:
    user = event["data"]["user"]
    user[platform.number_field] = str(user[platform.number_field])


def _text_as_number(event: Event, _: Platform) -> None:
    event["data"]["user"]["userId"] = 12345


def _list_for_text(event: Event, platform: Platform) -> None:
    user = event["data"]["user"]
    user[platform.text_field] = [user[platform.text_field]]


def _text_for_object(event: Event, _: Platform) -> None:
    event["data"]["engagement"] = "clicked"


def _unknown_stage(event: Event, _: Platform) -> None:
    event["funnelStage"] = "middle"


def _unknown_type(event: Event, _: Platform) -> None:
    event["eventType"] = "page.hover"


def _unknown_platform(event: Event, _: Platform) -> None:
    event["source"] = "myspace"


def _stage_against_type(event: Event, _: Platform) -> None:
    event["funnelStage"] = "bottom"


def _bad_timestamp(event: Event, _: Platform) -> None:
    event["timestamp"] = "yesterday at noon"


def _timestamp_without_offset(event: Event, _: Platform) -> None:
    event["timestamp"] = event["timestamp"].removesuffix("Z")


def _negative_amount(event: Event, _: Platform) -> None:
    event["data"]["engagement"]["purchaseAmount"] = "-12.34"


def _amount_no_number(event: Event, _: Platform) -> None:
    event["data"]["engagement"]["purchaseAmount"] = "twelve"


def _amount_as_float(event: Event, _: Platform) -> None:
    event["data"]["engagement"]["purchaseAmount"] = 12.34


def _nul_in_text(event: Event, platform: Platform) -> None:
    event["data"]["user"][platform.text_field] = "Robin\x00Banks"


def _lone_surrogate(event: Event, platform: Platform) -> None:
    event["data"]["user"][platform.text_field] = _SURROGATE_MARK


CORRUPTIONS: Final = (
    Corruption("missing_user_id", _missing_user_id),
    Corruption("missing_data", _missing_data),
    Corruption("null_event_id", _null_event_id),
    Corruption("number_as_text", _number_as_text),
    Corruption("text_as_number", _text_as_number),
    Corruption("list_for_text", _list_for_text),
    Corruption("text_for_object", _text_for_object),
    Corruption("unknown_stage", _unknown_stage),
    Corruption("unknown_type", _unknown_type),
    Corruption("unknown_platform", _unknown_platform),
    Corruption("stage_against_type", _stage_against_type),
    Corruption("bad_timestamp", _bad_timestamp),
    Corruption("timestamp_without_offset", _timestamp_without_offset),
    Corruption("negative_amount", _negative_amount, stage="bottom"),
    Corruption("amount_no_number", _amount_no_number, stage="bottom"),
    Corruption("amount_as_float", _amount_as_float, stage="bottom"),
    Corruption("nul_in_text", _nul_in_text),
    Corruption("lone_surrogate", _lone_surrogate),
)
"""In the order a run goes through them: a run with as many invalid events has one of each."""
