"""`python -m streams dead-letters list | show | export | replay | drop`.

Invariant: list, show, export and every dry run change nothing. Memory is bounded: letters are read, printed
and put through a few at a time.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TextIO

import orjson

from shared.errors import Fatal
from shared.events import REGISTRY, EventValidator
from shared.wire import BRACKETS_BYTES
from streams.connection import Connection
from streams.pace import Pace
from streams.parked import Choice, ParkedLetter, ParkedLetters
from streams.publisher import Publisher
from streams.revival import Revival, Revived
from streams.settings import PublishSettings
from streams.subjects import Names
from streams.terminal import Ask, ask, progress_bar

CHUNK_LETTERS: Final = 32
_LINE: Final = "{:>8}  {:<20}  {:<9}  {:<15}  {:>6}  {:<36}  {}"
_ERROR_CHARS: Final = 70


class DeadLetterCommands:
    """The actions. Results go to `out`; `is_asked` asks before anything is dropped."""

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
        self._letters = ParkedLetters(connection, names)
        self._out = out
        self._ask = is_asked

    async def run(self, arguments: argparse.Namespace) -> None:
        """Do what the command line says. Raises Fatal where it can't be done, or only in part; Retryable."""
        if arguments.action == "show":
            return await self._show(arguments.seq)
        choice = Choice(
            source=arguments.source,
            reason=arguments.reason,
            correlation_id=arguments.correlation_id,
            seq=arguments.seq,
            since=arguments.since,
            until=arguments.until,
            limit=arguments.limit,
        )
        if arguments.action == "list":
            return await (self._list_json(choice) if arguments.json else self._list(choice))
        if arguments.action == "export":
            return await self._export(choice, arguments.file)
        if arguments.action == "replay":
            return await self._replay(choice, dry_run=arguments.dry_run)
        return await self._drop(choice, dry_run=arguments.dry_run, is_sure=arguments.yes)

    async def _list(self, choice: Choice) -> None:
        await self._table(self._letters.chosen(choice, await self._letters.span(choice)))

    async def _table(self, letters: AsyncIterator[ParkedLetter]) -> int:
        reasons: Counter[str] = Counter()
        async for letter in letters:
            if not reasons:
                self._say(_LINE.format("SEQ", "PARKED", "SOURCE", "REASON", "EVENTS", "CORRELATION ID", "ERROR"))
            reasons[letter.reason] += 1
            self._say(_line(letter))
        counted = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        self._say(f"{_letters(reasons.total())}{': ' + counted if counted else ''}")
        return reasons.total()

    async def _list_json(self, choice: Choice) -> None:
        before = "["
        async for letter in self._letters.chosen(choice, await self._letters.span(choice)):
            self._say(before + _json(letter.about()))
            before = ","
        self._say("]" if before == "," else "[]")

    async def _show(self, seq: int) -> None:
        if (letter := await self._letters.get(seq)) is None:
            raise Fatal(f"there is no dead letter {seq}: `dead-letters list` shows those that are there")
        about = letter.whole()
        body = about.pop("body")
        for name, value in about.items():
            if value is not None:
                self._say(f"{name:<15}{value}")
        self._say("")
        self._say(_pretty(letter.body) or body)

    async def _export(self, choice: Choice, file: str) -> None:
        span = await self._letters.span(choice)
        count = 0
        with _new_file(file, self._out) as lines, progress_bar("exporting", span[1] - span[0] + 1) as advance:
            async for letter in self._letters.chosen(choice, span):
                lines.write(_json(letter.whole()) + "\n")
                count += 1
                advance(letter.seq - span[0] + 1)
        if file != "-":
            self._say(f"{_letters(count)} written to {file}")

    async def _replay(self, choice: Choice, *, dry_run: bool) -> None:
        publisher = Publisher(self._connection, self._publish, metrics=None)
        partitions = self._names.all(REGISTRY.sources)
        revival = Revival(
            letters=self._letters,
            publisher=publisher,
            validator=EventValidator(REGISTRY, max_event_bytes=publisher.max_body_bytes - BRACKETS_BYTES),
            partitions=partitions,
            dry_run=dry_run,
        )
        paces = [Pace(self._connection, partition.stream, max_unstored=None) for partition in partitions]
        span = await self._letters.span(choice)
        published: Counter[str] = Counter()
        done = kept = 0
        with progress_bar("replaying", span[1] - span[0] + 1) as advance:
            async for chunk in _chunks(self._letters.chosen(choice, span)):
                if not dry_run:
                    for pace in paces:
                        await pace.room()
                for revived in await asyncio.gather(*map(revival.revive, chunk)):
                    published.update(revived.published)
                    done += revived.is_done
                    kept += not revived.is_done
                    self._tell_refused(revived)
                advance(chunk[-1].seq - span[0] + 1)
        events = ", ".join(f"{stream} {count}" for stream, count in sorted(published.items()))
        verb = "would be published" if dry_run else "published"
        self._say(f"{_letters(done)} replayed{' (dry run)' if dry_run else ''}; events {verb}: {events or 'none'}")
        if kept:
            raise Fatal(f"{_letters(kept)} can't be replayed as above, and {'stays' if kept == 1 else 'stay'} here")

    def _tell_refused(self, revived: Revived) -> None:
        if revived.is_done:
            return
        more = revived.refused - len(revived.problems)
        told = "; ".join(revived.problems) + (f"; and {more} more" if more else "")
        part = f" ({sum(revived.published.values())} of its events are valid)" if revived.published else ""
        self._say(f"{revived.letter.seq}: still invalid{part}: {told}")

    async def _drop(self, choice: Choice, *, dry_run: bool, is_sure: bool) -> None:
        span = await self._letters.span(choice)
        count = await self._table(self._letters.chosen(choice, span))
        if not count or dry_run:
            return
        if not is_sure and not await self._ask(f"Remove {_letters(count)} for good?"):
            raise Fatal("nothing was removed")
        dropped = 0
        with progress_bar("dropping", count) as advance:
            async for chunk in _chunks(self._letters.chosen(choice, span)):
                await asyncio.gather(*(self._letters.remove(letter, erase=True) for letter in chunk))
                dropped += len(chunk)
                advance(dropped)
        self._say(f"{_letters(dropped)} removed")

    def _say(self, line: str) -> None:
        self._out.write(line + "\n")


def _line(letter: ParkedLetter) -> str:
    error = letter.error if len(letter.error) <= _ERROR_CHARS else letter.error[: _ERROR_CHARS - 1] + "…"
    parked_at = letter.parked_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return _LINE.format(
        letter.seq, parked_at, letter.source, letter.reason, letter.events, letter.correlation_id, error
    ).rstrip()


def _letters(count: int) -> str:
    return f"{count or 'no'} dead letter{'' if count == 1 else 's'}"


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _pretty(body: bytes) -> str | None:
    """The body indented; None where it is no JSON."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


@contextmanager
def _new_file(name: str, out: TextIO) -> Iterator[IO[str]]:
    """The file, made; `out` for `-`. Raises Fatal where it is there already or can't be made."""
    if name == "-":
        yield out
        return
    try:
        file = Path(name).open("x", encoding="utf-8")  # noqa: SIM115 - closed below; only its making may fail here
    except FileExistsError:
        raise Fatal(f"{name} is there already: name a new file") from None
    except OSError as error:
        raise Fatal(f"{name} can't be written: {error.strerror or error}") from error
    with file:
        yield file


async def _chunks(letters: AsyncIterator[ParkedLetter]) -> AsyncIterator[list[ParkedLetter]]:
    chunk: list[ParkedLetter] = []
    async for letter in letters:
        chunk.append(letter)
        if len(chunk) == CHUNK_LETTERS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
