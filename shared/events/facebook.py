"""Facebook's ad events."""

from typing import Literal

from shared.events.platform import DemographicsPaths, Envelope, Platform, RevenuePaths
from shared.events.types import ActionTime, Amount, Identifier, Model, Number


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


class Top(Envelope):
    """A Facebook event at the top of the funnel."""

    source: Literal["facebook"]
    funnel_stage: Literal["top"]
    event_type: Literal["ad.view", "page.like", "comment", "video.view"]
    data: TopData


class Bottom(Envelope):
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
