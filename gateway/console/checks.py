"""The state of everything the flow of events leans on, in words, and since when it is so."""

import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from streams.vitals import SILENT_AFTER_S, Heard

State = Literal["ok", "warn", "down", "unknown"]


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """One check. `name` is stable, `title` for people; `since` in seconds since 1970."""

    name: str
    title: str
    state: State
    detail: str
    since: float = 0.0


class Findings:
    """Remembers since when each is in its state."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[State, float]] = {}

    def dated(self, findings: Iterable[Finding]) -> list[Finding]:
        """The same, each with since when."""
        dated = []
        for finding in findings:
            seen = self._seen.get(finding.name)
            if seen is None or seen[0] != finding.state:
                seen = self._seen[finding.name] = (finding.state, self._clock())
            dated.append(msgspec.structs.replace(finding, since=round(seen[1], 1)))
        return dated


def collectors_of(source: str, replicas: Iterable[tuple[Heard, float]], *, can_hear: bool) -> Finding:
    """How the collectors of a source are, as they say themselves."""
    name, title = f"collector-{source}", f"Collectors of {source}"
    if not can_hear:
        return Finding(name, title, "unknown", "can't be heard without NATS")
    mine = [(heard.now, ago_s) for heard, ago_s in replicas if heard.now.source == source]
    alive = [vitals for vitals, ago_s in mine if ago_s < SILENT_AFTER_S]
    if not alive:
        return Finding(name, title, "down", "none is running" if not mine else f"{len(mine)} went silent")
    held = [vitals for vitals in alive if vitals.state == "held"]
    if held:
        return Finding(name, title, "down" if len(held) == len(alive) else "warn", f"held: {held[0].reason}")
    if len(alive) < len(mine):
        return Finding(name, title, "warn", f"{len(alive)} running, {len(mine) - len(alive)} silent")
    states = {vitals.state for vitals in alive}
    starting = next((vitals.reason for vitals in alive if vitals.state == "starting"), None)
    if starting is not None and states == {"starting"}:
        return Finding(name, title, "warn", f"starting: {starting}")
    return Finding(name, title, "ok", f"{len(alive)} running")
