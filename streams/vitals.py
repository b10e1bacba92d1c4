"""Vital signs: every process says once a second how it is, over core NATS, to whoever listens.

Invariant: nothing rests on them. They are neither kept nor acknowledged, are sent only while connected, and
hold no event and nothing of a person: counts, states, times, and the correlation ids of requests.
"""

import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
import nats.errors

from shared.logs import Logger
from shared.metrics import app_version
from streams.connection import Connection
from streams.subjects import Names

EVERY_S: Final = 1.0
SILENT_AFTER_S: Final = 3.5
"""Three beats are missed: whoever it is hangs, has lost NATS, or is dead."""

FORGOTTEN_AFTER_S: Final = 120.0
"""Long enough to be seen by a person who was told to look."""

KEPT_BEATS: Final = 11
"""Ten seconds, over which latencies are taken."""

MAX_REPLICAS: Final = 200
GATEWAY: Final = "gateway"
STOPPED: Final = "stopped"


class Flush(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A collector's last flush: how many events, how long it took, how long ago it ended."""

    events: int
    ms: float
    ago_s: float


class Pool(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Connections to PostgreSQL: open, of these idle, and how many there may be."""

    size: int
    idle: int
    most: int


class Answered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answered webhook request. `processed` by source; `reason` where it was refused whole."""

    at: float
    correlation_id: str
    status: int
    ms: float
    events: int = 0
    failed: int = 0
    processed: dict[str, int] = {}
    reason: str | None = None


class Vitals(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a process is. `totals` count since its start and never fall: name → label → count.

    `clock_s` is its own monotonic clock, by which rates are taken; `started_at` is seconds since 1970.
    `latency` are the cumulative counts of `shared.metrics.REQUEST_SECONDS` and, last, of all requests.
    """

    role: Literal["gateway", "collector"]
    id: str
    source: str | None = None
    pid: int
    host: str
    version: str
    started_at: float
    clock_s: float
    state: str
    reason: str | None = None
    totals: dict[str, dict[str, int]] = {}
    in_flight: int = 0
    held_bytes: int = 0
    latency: list[int] = []
    answered: list[Answered] = []
    last_flush: Flush | None = None
    pool: Pool | None = None
    postgres: bool | None = None


class Pulse:
    """One process's own vital signs. `read` gives all but who it is; it must not wait."""

    def __init__(
        self,
        connection: Connection,
        names: Names,
        *,
        role: Literal["gateway", "collector"],
        source: str | None = None,
        read: Callable[[], dict[str, Any]],
    ) -> None:
        self._connection = connection
        self._read = read
        self.id = uuid.uuid4().hex[:12]
        self._who: dict[str, Any] = {
            "role": role,
            "id": self.id,
            "source": source,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "version": app_version(),
            "started_at": time.time(),
        }
        self._subject = names.vitals(source or GATEWAY, self.id)
        self._encode = msgspec.json.Encoder().encode

    async def beat(self) -> Vitals:
        """Read them and, while connected, send them. Never raises for a broker that is away."""
        vitals = Vitals(**self._who, clock_s=time.monotonic(), **self._read())
        if self._connection.is_connected:
            with suppress(nats.errors.Error, OSError):  # the connection says so itself
                await self._connection.client.publish(self._subject, self._encode(vitals))
        return vitals

    async def keep_beating(self) -> None:
        """Beat until cancelled; for `shared.lifecycle.repeat`."""
        await self.beat()


@dataclass(slots=True)
class Heard:
    """One process as it was heard: its last beats, the newest at the end, and when that came."""

    at_s: float
    beats: deque[Vitals] = field(default_factory=lambda: deque(maxlen=KEPT_BEATS))

    new: int = 0

    @property
    def now(self) -> Vitals:
        """The newest beat."""
        return self.beats[-1]

    def take_new(self) -> list[Vitals]:
        """The beats that came since the last call, as far as they are kept."""
        new, self.new = list(self.beats)[len(self.beats) - min(self.new, len(self.beats)) :], 0
        return new


class VitalsBoard:
    """What was heard of all processes of a system. Lives in one event loop; bounded by MAX_REPLICAS."""

    def __init__(
        self, connection: Connection, names: Names, *, log: Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._subject = names.vitals("*", "*")
        self._log = log
        self._clock = clock
        self._decode = msgspec.json.Decoder(Vitals).decode
        self._heard: dict[str, Heard] = {}
        self._is_listening = False

    async def listen(self) -> None:
        """Subscribe once, as soon as there is a connection; it lasts over reconnections. Never raises."""
        if self._is_listening or not self._connection.is_connected:
            return
        try:
            await self._connection.client.subscribe(self._subject, cb=self._take)
        except (nats.errors.Error, OSError) as error:
            self._log.warning("vitals_not_subscribed", error=repr(error))
            return
        self._is_listening = True

    def note(self, vitals: Vitals) -> None:
        """Take a beat; of a process that says it has stopped, forget everything."""
        if vitals.state == STOPPED:
            self._heard.pop(vitals.id, None)
            return
        heard = self._heard.get(vitals.id)
        if heard is None:
            if len(self._heard) >= MAX_REPLICAS:
                return
            heard = self._heard[vitals.id] = Heard(self._clock())
        elif heard.now.clock_s >= vitals.clock_s:
            return  # our own, come back over the broker
        heard.at_s = self._clock()
        heard.beats.append(vitals)
        heard.new += 1

    def replicas(self) -> list[tuple[Heard, float]]:
        """All that were heard of lately, and how many seconds ago: gateways first, then by source and age."""
        now = self._clock()
        self._heard = {id_: heard for id_, heard in self._heard.items() if now - heard.at_s < FORGOTTEN_AFTER_S}
        found = sorted(
            self._heard.values(), key=lambda heard: (heard.now.source or "", heard.now.started_at, heard.now.id)
        )
        return [(heard, now - heard.at_s) for heard in found]

    async def _take(self, message: Any) -> None:
        try:
            self.note(self._decode(message.data))
        except msgspec.MsgspecError as error:
            self._log.warning("vitals_unreadable", error=str(error))
