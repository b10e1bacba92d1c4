"""Another platform: what it costs, and what a registry refuses."""

import json
from typing import Literal

import pytest

from shared.events import (
    DemographicsPaths,
    Envelope,
    EventValidator,
    Platform,
    Problem,
    Registry,
    RevenuePaths,
)
from shared.events.facebook import PLATFORM as FACEBOOK
from shared.events.types import Identifier, Model, Number
from tests.unit.shared.rules import put, sample
from tests.unit.shared.validating import refused, source_of


class _Bird(Model):
    user_id: Identifier
    wing_span: Number


class _Song(Model):
    seconds: Number


class _BirdData(Model):
    user: _Bird
    engagement: _Song


class _BirdTop(Envelope):
    source: Literal["birdsong"]
    funnel_stage: Literal["top"]
    event_type: Literal["sing", "listen"]
    data: _BirdData


BIRDSONG = Platform(source="birdsong", models=(_BirdTop,), demographics=DemographicsPaths(), revenue=RevenuePaths())
BIRD_EVENT = {
    "eventId": "b-1",
    "timestamp": "2026-01-25T17:31:13Z",
    "source": "birdsong",
    "funnelStage": "top",
    "eventType": "sing",
    "data": {"user": {"userId": "u", "wingSpan": 31.5}, "engagement": {"seconds": 3}},
}


def test_a_third_platform_costs_its_models_and_one_entry() -> None:
    three = EventValidator(Registry(FACEBOOK, BIRDSONG), max_event_bytes=1024)
    assert source_of(json.dumps(BIRD_EVENT).encode(), three) == "birdsong"
    assert source_of(json.dumps(sample("facebook", "top")).encode(), three) == "facebook"
    assert refused(put(BIRD_EVENT, "data.user.wingSpan", "wide"), three).problems == (
        Problem("number_type", "data.user.wingSpan", "Input should be a valid number"),
    )
    assert refused(put(BIRD_EVENT, "funnelStage", "bottom"), three).problems == (
        Problem("literal_error", "funnelStage", "Input should be 'top'"),
    )
    assert refused(put(BIRD_EVENT, "source", "tiktok"), three).problems == (
        Problem("literal_error", "source", "Input should be one of 'facebook', 'birdsong'"),
    )
    assert refused(BIRD_EVENT).problems[0].field == "source"  # and the registry without it does not know it


def test_a_platform_alone_in_its_registry_works() -> None:
    alone = EventValidator(Registry(BIRDSONG), max_event_bytes=1024)
    assert source_of(json.dumps(BIRD_EVENT).encode(), alone) == "birdsong"
    assert refused(put(BIRD_EVENT, "source", "facebook"), alone).problems == (
        Problem("literal_error", "source", "Input should be 'birdsong'"),
    )


def test_a_registry_takes_a_source_once() -> None:
    with pytest.raises(ValueError, match="a source is registered twice"):
        Registry(BIRDSONG, BIRDSONG)


@pytest.mark.parametrize("source", ["Birdsong", "bird.song", "bird*", "", "1bird", "b" * 33, "bird song"])
def test_a_source_is_a_plain_token(source: str) -> None:
    with pytest.raises(ValueError, match="takes lower-case letters and digits"):
        Platform(source=source, models=(), demographics=DemographicsPaths(), revenue=RevenuePaths())


def test_a_platform_whose_models_do_not_name_its_source_is_refused() -> None:
    with pytest.raises(ValueError, match=r"_BirdTop\.source must be Literal\['finch'\]"):
        Platform(source="finch", models=(_BirdTop,), demographics=DemographicsPaths(), revenue=RevenuePaths())
