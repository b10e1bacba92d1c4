"""Facebook's ad events."""

from typing import Any, Final, Literal

from shared.events.platform import DemographicsPaths, Envelope, Platform, RevenuePaths
from shared.events.types import ActionTime, Amount, Identifier, Model, Number

_TOP: Final[dict[str, Any]] = {
    "eventId": "fb-5a0c8c1e-3b8a-4f0e-9c55-0d6f3f1f7a10",
    "timestamp": "2026-01-25T17:31:13.660Z",
    "source": "facebook",
    "funnelStage": "top",
    "eventType": "video.view",
    "data": {
        "user": {
            "userId": "2f1f6f6c-8a52-4f0b-8d0e-6f3b6a0c9e11",
            "name": "Zoë Lindqvist",
            "age": 34,
            "gender": "female",
            "location": {"country": "Ecuador", "city": "Quito"},
        },
        "engagement": {"actionTime": "2026-01-25T17:31:12.904Z", "referrer": "newsfeed", "videoId": "vid-8sQ2LmPz"},
    },
}
_BOTTOM: Final[dict[str, Any]] = _TOP | {
    "eventId": "fb-c7b7a9d4-0b8e-4d7c-a6f1-4a3d1c1d2b77",
    "funnelStage": "bottom",
    "eventType": "checkout.complete",
    "data": {
        "user": _TOP["data"]["user"],
        "engagement": {
            "adId": "ad-31D0kXvT",
            "campaignId": "camp-q7Yt2RbN",
            "clickPosition": "top_left",
            "device": "mobile",
            "browser": "Firefox",
            "purchaseAmount": "12.34",
        },
    },
}


class Location(Model):
    """Where the user says to live."""

    country: str
    city: str


class User(Model):
    """Who acted."""

    user_id: Identifier
    name: str
    age: Number
    gender: Literal["male", "female", "non-binary"]
    location: Location


class TopEngagement(Model):
    """Attention: views, likes, comments."""

    action_time: ActionTime
    referrer: Literal["newsfeed", "marketplace", "groups"]
    video_id: str | None


class BottomEngagement(Model):
    """Intent and money: clicks, forms, checkouts."""

    ad_id: str
    campaign_id: str
    click_position: Literal["top_left", "bottom_right", "center"]
    device: Literal["mobile", "desktop"]
    browser: Literal["Chrome", "Firefox", "Safari"]
    purchase_amount: Amount | None


class TopData(Model):
    """`data` of the top of the funnel."""

    user: User
    engagement: TopEngagement


class BottomData(Model):
    """`data` of the bottom of the funnel."""

    user: User
    engagement: BottomEngagement


class Top(Envelope, json_schema_extra={"examples": [_TOP]}):
    """A Facebook event at the top of the funnel."""

    source: Literal["facebook"]
    funnel_stage: Literal["top"]
    event_type: Literal["ad.view", "page.like", "comment", "video.view"]
    data: TopData


class Bottom(Envelope, json_schema_extra={"examples": [_BOTTOM]}):
    """A Facebook event at the bottom of the funnel."""

    source: Literal["facebook"]
    funnel_stage: Literal["bottom"]
    event_type: Literal["ad.click", "form.submission", "checkout.complete"]
    data: BottomData


PLATFORM = Platform(
    source="facebook",
    models=(Top, Bottom),
    demographics=DemographicsPaths(
        name="user.name",
        age="user.age",
        gender="user.gender",
        country="user.location.country",
        city="user.location.city",
    ),
    revenue=RevenuePaths(
        amount="engagement.purchaseAmount",
        campaign_id="engagement.campaignId",
        ad_id="engagement.adId",
    ),
)
