"""`python -m streams replay --source … --since … [--until …]`.

Invariant: nothing is published before somebody has agreed to how much; where it stops halfway, the last line
says from when to go on.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TextIO

from shared.errors import Fatal, Retryable
from streams.connection import Connection
from streams.pace import Pace
from streams.present import present
from streams.publisher import Publisher
from streams.reader import StreamReader
from streams.replay import Range, Replay, Replayed
from streams.settings import PublishSettings
from streams.subjects import Names
from streams.terminal import Ask, ask, progress_bar


class ReplayCommand:
    """The command. Results go to `out`."""

    def __init__(
        self,
        connection: Connection,
        names: Names,
        publish: PublishSettings,
        *,
        out: TextIO = sys.stdout,
        is_asked: Ask = ask,
    ) -> None:
        self._connection = connection
        self._names = names
        self._publish = publish
        self._out = out
        self._ask = is_asked

    async def run(self, arguments: argparse.Namespace, *, pace: Pace | None = None) -> None:
        """Do what the command line says. Raises Fatal where it stops early, Retryable before it has begun."""
        publisher = Publisher(self._connection, self._publish, metrics=None)
        parts: list[_Part] = []
        for stream in await self._streams(arguments.source):
            replay = Replay(
                reader=StreamReader(self._connection, stream),
                publisher=publisher,
                pace=pace or Pace(self._connection, stream),
            )
            wanted = await replay.range(arguments.since, arguments.until)
            if wanted is None:
                self._say(f"{stream} has nothing of that time")
            else:
                parts.append(_Part(stream, replay, wanted))
        if arguments.dry_run:
            for part in parts:
                self._say(f"would replay {part.what}")
        elif parts:
            if not arguments.yes and not await self._ask(f"Replay {'; '.join(part.what for part in parts)}?"):
                raise Fatal("nothing was replayed")
            await self._replay(parts)

    async def _streams(self, source: str) -> list[str]:
        """The streams of a source, retired ones too: what they hold is older, and wanted as much."""
        found = [partition.stream for partition in await present(self._connection, self._names, source)]
        return found or [partition.stream for partition in self._names.of(source)]

    async def _replay(self, parts: Sequence["_Part"]) -> None:
        """One stream after the other. Where it stops, the time to go on from is one that misses none of the rest."""
        for at, part in enumerate(parts):
            replayed, wanted = Replayed(), part.wanted
            try:
                await self._replay_one(part, replayed)
            except (Retryable, Fatal) as error:
                since = min(
                    [replayed.next_at or wanted.first_at, *(later.wanted.first_at for later in parts[at + 1 :])]
                )
                until = _after(max(one.wanted.last_at for one in parts))
                raise Fatal(
                    f"stopped after {replayed.messages} of {wanted.messages} messages: {error}. "
                    f"Go on with --since {_text(since)} --until {_text(until)}"
                ) from error
            self._tell(part.stream, replayed)

    async def _replay_one(self, part: "_Part", replayed: Replayed) -> None:
        with progress_bar("replaying", part.wanted.messages) as advance:
            await part.replay.run(part.wanted, replayed, lambda: advance(replayed.messages))

    def _tell(self, stream: str, replayed: Replayed) -> None:
        self._say(f"{_messages(replayed.published)} replayed to the end of {stream}")
        for count, why in (
            (replayed.known, "replayed less than two minutes ago before, and not put in twice"),
            (replayed.foreign, "without an id, which is in the dead letters, left out"),
            (replayed.gone, "no longer in the stream"),
        ):
            if count:
                self._say(f"{_messages(count)} {why}")

    def _say(self, line: str) -> None:
        self._out.write(line + "\n")


@dataclass(frozen=True, slots=True)
class _Part:
    """What is to be replayed of one stream."""

    stream: str
    replay: Replay
    wanted: Range

    @property
    def what(self) -> str:
        """In words."""
        at_most = "up to " if self.wanted.messages > 1 else ""
        return (
            f"{at_most}{_messages(self.wanted.messages)} of {self.stream}, stored from {_text(self.wanted.first_at)} "
            f"to {_text(self.wanted.last_at)}"
        )


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _after(moment: datetime) -> datetime:
    """The end of a range that has this moment in it: one microsecond on, which is as fine as we read time."""
    return moment + timedelta(microseconds=1)
