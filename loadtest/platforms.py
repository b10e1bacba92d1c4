"""The events of each platform as JSON text, in every shape its publisher sends.

Invariant: what a shape returns is a valid event, compact JSON, made from its arguments alone, so the same
draws give the same bytes. A further platform is one pair of shapes and one entry in `PLATFORMS`.

The shapes are f-strings and not dictionaries on purpose: the generator feeds the benchmark, shares its two
cores with what is measured, and must cost a few microseconds an event.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Shape = Callable[[int, str, str, str, str], str]
"""(64 random bits, event uuid, user uuid, timestamp, action time) → one event as compact JSON text."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform: its name on the wire, a shape for each funnel stage, and the names of two user fields.

    `number_field` and `text_field` are keys of `data.user` that hold a number and a string.
    """

    source: str
    top: Shape
    bottom: Shape
    number_field: str
    text_field: str


# A pool's size is a power of two, so that a few bits pick an entry; what is frequent is in it more than once.
_FIRST: Final = (
    "Amara", "Björn", "Carlos", "Dmitri", "Elena", "Fatima", "Grace", "Hiroshi",
    "Imani", "João", "Katarína", "Liam", "Mei", "Noor", "Olivia", "Priya",
    "Quentin", "Ressie", "Siobhán", "Tomás", "Uma", "Viktor", "Wanjiru", "Xiomara",
    "Yusuf", "Zoë", "Łukasz", "Ngozi", "Aarav", "Bianca", "Chloé", "Đức",
)  # fmt: skip
_LAST: Final = (
    "Anderson", "Bakker", "Castillo", "Dubois", "Eriksson", "Fischer", "García", "Haddad",
    "Ivanova", "Jansen", "Kowalski", "Lindqvist", "Mensah", "Nakamura", "O'Brien", "Okafor",
    "Pereira", "Quispe", "Rossi", "Schröder", "Tanaka", "Ueda", "Vasquez", "Williams",
    "Xu", "Yildiz", "Zhang", "de la Cruz", "van den Berg", "Ó Súilleabháin", "Brown", "Nguyễn",
)  # fmt: skip
_PLACE: Final = tuple(
    f'{{"country":"{country}","city":"{city}"}}'
    for country, city in (
        ("Ecuador", "Quito"), ("Germany", "Köln"), ("Japan", "Osaka"), ("Kenya", "Nairobi"),
        ("Brazil", "São Paulo"), ("Canada", "Montréal"), ("India", "Bengaluru"), ("Poland", "Łódź"),
        ("Mexico", "Guadalajara"), ("Nigeria", "Lagos"), ("Spain", "Málaga"), ("Turkey", "İzmir"),
        ("United States", "Portland"),
        ("United Kingdom", "Leeds"), ("Viet Nam", "Hà Nội"), ("Peru", "Cusco"),
    )
)  # fmt: skip
_COUNTRY: Final = (
    "Ecuador", "Germany", "Japan", "Kenya", "Brazil", "Canada", "India", "Poland",
    "Mexico", "Nigeria", "Côte d'Ivoire", "Türkiye", "United States", "United Kingdom", "Viet Nam", "Peru",
)  # fmt: skip
_GENDER: Final = ("male",) * 7 + ("female",) * 7 + ("non-binary",) * 2
_REFERRER: Final = ("newsfeed", "newsfeed", "marketplace", "groups")
_POSITION: Final = ("top_left", "bottom_right", "center", "center")
_FACEBOOK_DEVICE: Final = ("mobile", "mobile", "mobile", "desktop")
_BROWSER: Final = ("Chrome", "Chrome", "Firefox", "Safari")
_TIKTOK_DEVICE: Final = ("Android", "Android", "iOS", "Desktop")
_FACEBOOK_TOP: Final = (*["ad.view"] * 4, *["video.view"] * 2, "page.like", "comment")
_FACEBOOK_BOTTOM: Final = ("ad.click", "ad.click", "form.submission", "checkout.complete")
_TIKTOK_TOP: Final = (*["video.view"] * 4, *["like"] * 2, "share", "comment")
_TIKTOK_BOTTOM: Final = ("profile.visit", "profile.visit", "purchase", "follow")
_ITEM: Final = (
    "Phone Case",
    "Ring Light",
    "Sneakers",
    "Lip Gloss",
    "Lamp",
    "Backpack",
    "Earbuds",
    "Yoga Mat",
)
_AGE: Final = tuple(str(13 + years % 68) for years in range(128))
# A number field takes an integer or a float: both are sent.
_WATCHED_S: Final = tuple(f"{s}.5" if s % 4 == 3 else str(s) for s in range(1, 257))
_WATCHED_PERCENT: Final = tuple(str(p % 101) if p % 8 else f"{p % 100}.25" for p in range(128))


def _facebook_top(bits: int, event: str, user: str, timestamp: str, action_time: str) -> str:
    kind = _FACEBOOK_TOP[bits & 7]
    video = f'"vid-{bits >> 32:08x}"' if kind == "video.view" else "null"
    return (
        f'{{"eventId":"fb-{event}","timestamp":"{timestamp}","source":"facebook","funnelStage":"top",'
        f'"eventType":"{kind}","data":{{{_facebook_user(bits, user)},'
        f'"engagement":{{"actionTime":"{action_time}","referrer":"{_REFERRER[bits >> 3 & 3]}",'
        f'"videoId":{video}}}}}}}'
    )


def _facebook_bottom(bits: int, event: str, user: str, timestamp: str, action_time: str) -> str:
    del action_time  # this shape has none
    kind = _FACEBOOK_BOTTOM[bits & 3]
    amount = _amount(bits >> 40) if kind == "checkout.complete" else "null"
    # Few campaigns and not many ads, as in life: reports group by them.
    return (
        f'{{"eventId":"fb-{event}","timestamp":"{timestamp}","source":"facebook","funnelStage":"bottom",'
        f'"eventType":"{kind}","data":{{{_facebook_user(bits, user)},'
        f'"engagement":{{"adId":"ad-{bits >> 34 & 1023:06d}","campaignId":"camp-{bits >> 34 & 31:04d}",'
        f'"clickPosition":"{_POSITION[bits >> 3 & 3]}","device":"{_FACEBOOK_DEVICE[bits >> 44 & 3]}",'
        f'"browser":"{_BROWSER[bits >> 46 & 3]}","purchaseAmount":{amount}}}}}}}'
    )


def _tiktok_top(bits: int, event: str, user: str, timestamp: str, action_time: str) -> str:
    del action_time  # this shape has none
    return (
        f'{{"eventId":"ttk-{event}","timestamp":"{timestamp}","source":"tiktok","funnelStage":"top",'
        f'"eventType":"{_TIKTOK_TOP[bits & 7]}","data":{{{_tiktok_user(bits, user)},'
        f'"engagement":{{"watchTime":{_WATCHED_S[bits >> 24 & 255]},'
        f'"percentageWatched":{_WATCHED_PERCENT[bits >> 32 & 127]},'
        f'"device":"{_TIKTOK_DEVICE[bits >> 40 & 3]}","country":"{_COUNTRY[bits >> 42 & 15]}",'
        f'"videoId":"vid-{bits >> 32:08x}"}}}}}}'
    )


def _tiktok_bottom(bits: int, event: str, user: str, timestamp: str, action_time: str) -> str:
    kind = _TIKTOK_BOTTOM[bits & 3]
    profile, item, amount = f'"profile-{bits >> 32:08x}"', "null", "null"
    if kind == "purchase":
        profile, item, amount = "null", f'"{_ITEM[bits >> 60 & 7]}"', _amount(bits >> 40)
    return (
        f'{{"eventId":"ttk-{event}","timestamp":"{timestamp}","source":"tiktok","funnelStage":"bottom",'
        f'"eventType":"{kind}","data":{{{_tiktok_user(bits, user)},'
        f'"engagement":{{"actionTime":"{action_time}","profileId":{profile},"purchasedItem":{item},"purchaseAmount":{amount}}}}}}}'
    )


def _facebook_user(bits: int, user: str) -> str:
    return (
        f'"user":{{"userId":"{user}","name":"{_FIRST[bits >> 5 & 31]} {_LAST[bits >> 10 & 31]}",'
        f'"age":{_AGE[bits >> 15 & 127]},"gender":"{_GENDER[bits >> 22 & 15]}",'
        f'"location":{_PLACE[bits >> 26 & 15]}}}'
    )


def _tiktok_user(bits: int, user: str) -> str:
    return (
        f'"user":{{"userId":"{user}",'
        f'"username":"{_FIRST[bits >> 5 & 31]}{_LAST[bits >> 10 & 31]}{bits >> 48 & 4095}",'
        f'"followers":{bits >> 15 & 0xFFFFF}}}'
    )


def _amount(bits: int) -> str:
    """A decimal as JSON text, from "0.01" to "655.36": cents in an integer, a float never touches money."""
    cents = (bits & 0xFFFF) + 1
    return f'"{cents // 100}.{cents % 100:02d}"'


PLATFORMS: Final = {
    platform.source: platform
    for platform in (
        Platform("facebook", _facebook_top, _facebook_bottom, number_field="age", text_field="name"),
        Platform("tiktok", _tiktok_top, _tiktok_bottom, number_field="followers", text_field="username"),
    )
}
"""Every platform the scripts can play, by its `source`."""
