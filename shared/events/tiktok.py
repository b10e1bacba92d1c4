"""TikTok's ad events."""

from typing import Literal

from shared.events.platform import DemographicsPaths, Envelope, Platform, RevenuePaths
from shared.events.types import ActionTime, Amount, Identifier, Model, Number


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


class Top(Envelope):
    """A TikTok event at the top of the funnel."""

    source: Literal["tiktok"]
    funnel_stage: Literal["top"]
    event_type: Literal["video.view", "like", "share", "comment"]
    data: TopData


class Bottom(Envelope):
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
