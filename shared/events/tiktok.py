"""TikTok's ad events."""

from typing import Any, Final, Literal

from shared.events.platform import DemographicsPaths, Envelope, Platform, RevenuePaths
from shared.events.types import ActionTime, Amount, Identifier, Model, Number

_TOP: Final[dict[str, Any]] = {
    "eventId": "ttk-e4a15421-b14b-4933-9b63-2f997e906fb5",
    "timestamp": "2026-01-25T17:31:13.660Z",
    "source": "tiktok",
    "funnelStage": "top",
    "eventType": "like",
    "data": {
        "user": {"userId": "ec512eca-fee0-4781-b53f-4a86430bd46c", "username": "Ressie7", "followers": 311578},
        "engagement": {
            "watchTime": 72,
            "percentageWatched": 81,
            "device": "Android",
            "country": "Ecuador",
            "videoId": "vid-xFvZ4EFd",
        },
    },
}
_BOTTOM: Final[dict[str, Any]] = _TOP | {
    "eventId": "ttk-0d9e8c55-6a3f-4e57-8f2b-91c1f0f6a2d8",
    "funnelStage": "bottom",
    "eventType": "purchase",
    "data": {
        "user": _TOP["data"]["user"],
        "engagement": {
            "actionTime": "2026-01-25T17:31:12.904Z",
            "profileId": None,
            "purchasedItem": "Desk lamp",
            "purchaseAmount": "49.90",
        },
    },
}


class User(Model):
    """Who acted."""

    user_id: Identifier
    username: str
    followers: Number


class TopEngagement(Model):
    """Attention: views, likes, shares, comments."""

    watch_time: Number
    percentage_watched: Number
    device: Literal["Android", "iOS", "Desktop"]
    country: str
    video_id: str


class BottomEngagement(Model):
    """Intent and money: profile visits, purchases, follows."""

    action_time: ActionTime
    profile_id: str | None
    purchased_item: str | None
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
    """A TikTok event at the top of the funnel."""

    source: Literal["tiktok"]
    funnel_stage: Literal["top"]
    event_type: Literal["video.view", "like", "share", "comment"]
    data: TopData


class Bottom(Envelope, json_schema_extra={"examples": [_BOTTOM]}):
    """A TikTok event at the bottom of the funnel."""

    source: Literal["tiktok"]
    funnel_stage: Literal["bottom"]
    event_type: Literal["profile.visit", "purchase", "follow"]
    data: BottomData


PLATFORM = Platform(
    source="tiktok",
    models=(Top, Bottom),
    demographics=DemographicsPaths(
        name="user.username",
        followers="user.followers",
        country="engagement.country",
    ),
    revenue=RevenuePaths(
        amount="engagement.purchaseAmount",
        item="engagement.purchasedItem",
    ),
)
