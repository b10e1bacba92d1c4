"""`python -m streams replay --source … --since … [--until …]`.

Invariant: nothing is published before somebody has agreed to how much; where it stops halfway, the last line
says from when to go on.
"""

import argparse
import sys
from datetime import datetime, timedelta
from typing import TextIO

from shared.errors import Fatal, Retryable
from streams.connection import Connection
from streams.pace import Pace
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
        stream = self._names.stream(arguments.source)
        replay = Replay(
            reader=StreamReader(self._connection, stream),
            publisher=Publisher(self._connection, self._publish, metrics=None),
            pace=pace or Pace(self._connection, stream),
        )
        wanted = await replay.range(arguments.since, arguments.until)
        if wanted is None:
            self._say(f"{stream} has nothing of that time")
            return
        what = _what(stream, wanted)
        if arguments.dry_run:
            self._say(f"would replay {what}")
            return
        if not arguments.yes and not await self._ask(f"Replay {what}?"):
            raise Fatal("nothing was replayed")
        replayed = Replayed()
        try:
            with progress_bar("replaying", wanted.messages) as advance:
                await replay.run(wanted, replayed, lambda: advance(replayed.messages))
        except (Retryable, Fatal) as error:
            since = _text(replayed.next_at or wanted.first_at)
            raise Fatal(
                f"stopped after {replayed.messages} of {wanted.messages} messages: {error}. "
                f"Go on with --since {since} --until {_text(_after(wanted.last_at))}"
            ) from error
        self._tell(stream, replayed)

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


def _what(stream: str, wanted: Range) -> str:
    at_most = "up to " if wanted.messages > 1 else ""
    return (
        f"{at_most}{_messages(wanted.messages)} of {stream}, stored from {_text(wanted.first_at)} "
        f"to {_text(wanted.last_at)}"
    )


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _after(moment: datetime) -> datetime:
    """The end of a range that has this moment in it: one microsecond on, which is as fine as we read time."""
    return moment + timedelta(microseconds=1)
