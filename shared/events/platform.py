"""What a platform is to Floodgate: the models of its events, and where its rows are found in them.

Invariant: everything that differs between platforms is data in a `Platform`; no code elsewhere asks
which platform it has before it.
"""

import re
from dataclasses import dataclass
from typing import Final

from shared.events.types import Identifier, Model, Timestamp

SOURCE_PATTERN: Final = re.compile(r"[a-z][a-z0-9]{0,31}")
"""A source's name becomes a subject token, a stream name and a metric label."""

USER_ID_PATH: Final = "user.userId"
"""Where every platform has the id of the user within `data`."""


class Envelope(Model):
    """What every event has; a platform's models add `source`, `funnel_stage`, `event_type`, `data`."""

    event_id: Identifier
    timestamp: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class DemographicsPaths:
    """Columns of `demographics`, each with its dotted path in an event's `data`; None where there is none."""

    name: str | None = None
    age: str | None = None
    gender: str | None = None
    country: str | None = None
    city: str | None = None
    followers: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevenuePaths:
    """Columns of `revenue`, each with its dotted path in an event's `data`; None where there is none."""

    amount: str | None = None
    campaign_id: str | None = None
    ad_id: str | None = None
    item: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One platform: its source name, a model for each funnel stage, and the paths of its rows.

    Raises ValueError where the source's name can't be a subject token, or a model doesn't name its
    source and stage as single literals.
    """

    source: str
    models: tuple[type[Envelope], ...]
    demographics: DemographicsPaths
    revenue: RevenuePaths

    def __post_init__(self) -> None:
        if not SOURCE_PATTERN.fullmatch(self.source):
            raise ValueError(f"source {self.source!r}: takes lower-case letters and digits, 32 at most, a letter first")
        for model in self.models:
            if literal(model, "source") != (self.source,):
                raise ValueError(f"{model.__qualname__}.source must be Literal[{self.source!r}]")
            if len(literal(model, "funnel_stage")) != 1:
                raise ValueError(f"{model.__qualname__}.funnel_stage must be a Literal of one stage")


def literal(model: type[Envelope], field: str) -> tuple[str, ...]:
    """The values of a model's Literal field; () where it has no such field."""
    info = model.model_fields.get(field)
    return tuple(getattr(info.annotation, "__args__", ())) if info else ()
