"""The routes of dead letters: browse, look, put through again, drop, as `python -m streams dead-letters` does.

Invariant: nothing is changed unless `confirm` says so, and nothing that was parked after the operator looked:
an action ends at the sequence (`upTo`) that its dry run fixed. One request does a bounded part and says where
to go on (`next`). Events are shown to who may read, and never logged.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from gateway.console.door import Door
from gateway.console.headers import PRIVATE
from gateway.correlation import correlation_id_of
from gateway.problems import problem
from shared.errors import Fatal, Retryable
from shared.events import EventValidator
from shared.logs import Logger
from streams.pace import Pace
from streams.parked import Choice, ParkedLetter, ParkedLetters
from streams.partitions import Partitions
from streams.publisher import Publisher
from streams.revival import Revival

PAGE_LETTERS: Final = 25
LOOK_AT: Final = 1_024
"""Sequences that one request looks at or acts on: a second or two of work."""

AT_ONCE: Final = 32
MAX_PROBLEMS: Final = 5
"""Letters of one request whose problem is told; all are counted."""

Each = Callable[[list[ParkedLetter]], Awaitable[None]]
T = TypeVar("T", bound=msgspec.Struct)


class _Filter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which letters; as in a query, where `before` is the newest sequence of the page wanted."""

    source: str | None = None
    reason: str | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None

    def choice(self, seq: int | None = None) -> Choice:
        return Choice(
            source=self.source or None,
            reason=self.reason or None,
            correlation_id=self.correlation_id or None,
            since=_aware(self.since),
            until=_aware(self.until),
            seq=seq,
        )


class _Action(_Filter, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An action on all of a filter, or on one sequence. Without `confirm` it is a dry run."""

    seq: int | None = None
    start: int | None = None
    up_to: int | None = None
    confirm: bool = False


class _Edited(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be put through instead of the letter's own body; None for that itself."""

    body: str | None = None


class _Tally(msgspec.Struct, kw_only=True, rename="camel"):
    """What a request has done, or would do. `kept` letters can't be put through; `next` is where to go on."""

    letters: int = 0
    events: int = 0
    kept: int = 0
    problems: list[dict[str, Any]] = msgspec.field(default_factory=list)
    up_to: int = 0
    next: int | None = None
    confirmed: bool = False


class DeadLetterRoutes:
    """The handlers. Each may wait for the broker, and answers 503 without it."""

    def __init__(
        self,
        *,
        letters: ParkedLetters,
        publisher: Publisher,
        validator: EventValidator,
        partitions: Partitions,
        paces: Iterable[Pace],
        log: Logger,
    ) -> None:
        self._letters = letters
        self._log = log
        self._paces = tuple(paces)
        self._revival, self._rehearsal = (
            Revival(letters=letters, publisher=publisher, validator=validator, partitions=partitions, dry_run=dry_run)
            for dry_run in (False, True)
        )

    def add_routes(self, app: web.Application, door: Door) -> None:
        """Add them to an application, behind the door."""
        base = "/console/dead-letters"
        app.router.add_get(base, door.reads(_told(self.browse)))
        app.router.add_post(f"{base}/replay", door.acts(_told(self.replay)))
        app.router.add_post(f"{base}/drop", door.acts(_told(self.drop)))
        app.router.add_get(base + r"/{seq:\d{1,18}}", door.reads(_told(self.show)))
        app.router.add_post(base + r"/{seq:\d{1,18}}/replay", door.acts(_told(self.replay_one)))

    async def browse(self, request: web.Request) -> web.Response:
        """A page of those of a filter, newest first, without their events."""
        wanted = _converted(dict(request.query), _Filter)
        choice = wanted.choice()
        first, last = await self._letters.span(choice)
        if wanted.before is not None:
            last = min(last, wanted.before)
        found, before = await self._letters.newest(choice, (first, last), most=PAGE_LETTERS, look_at=LOOK_AT)
        page = [letter.about() for letter in found]
        return _json({"letters": page, "before": before, "total": await self._letters.count()})

    async def show(self, request: web.Request) -> web.Response:
        """One, with its event."""
        letter = await self._letters.get(int(request.match_info["seq"]))
        return _json(letter.whole()) if letter is not None else _gone(request)

    async def replay_one(self, request: web.Request) -> web.Response:
        """Put one through, as it is or as edited; 422 where it is still invalid, and stays."""
        edited = _converted(await _body(request), _Edited)
        letter = await self._letters.get(int(request.match_info["seq"]))
        if letter is None:
            return _gone(request)
        if edited.body is not None:
            letter = replace(letter, body=edited.body.encode(), cut_from_bytes=None)
        await self._room()
        revived = await self._revival.revive(letter)
        self._log.info(
            "dead_letter_replayed",
            seq=letter.seq, edited=edited.body is not None, done=revived.is_done, correlation_id=letter.correlation_id,
        )  # fmt: skip
        answer = {
            "done": revived.is_done,
            "published": revived.published,
            "refused": revived.refused,
            "problems": revived.problems,
            "correlationId": letter.correlation_id,
        }
        return _json(answer, HTTPStatus.OK if revived.is_done else HTTPStatus.UNPROCESSABLE_ENTITY)

    async def replay(self, request: web.Request) -> web.Response:
        """Put all of a filter through; without `confirm`, validate them and say what would happen."""
        action = _converted(await _body(request), _Action)
        revival = self._revival if action.confirm else self._rehearsal
        tally = _Tally(confirmed=action.confirm)

        async def revive(chunk: list[ParkedLetter]) -> None:
            if action.confirm:
                await self._room()
            for revived in await asyncio.gather(*map(revival.revive, chunk)):
                tally.events += sum(revived.published.values())
                tally.letters += revived.is_done
                if not revived.is_done:
                    tally.kept += 1
                    if len(tally.problems) < MAX_PROBLEMS:
                        tally.problems.append({"seq": revived.letter.seq, "problem": "; ".join(revived.problems)})

        await self._on_each(action, tally, revive)
        if action.confirm:
            self._log.info("dead_letters_replayed", letters=tally.letters, kept=tally.kept, chosen=_told_filter(action))
        return _json(tally)

    async def drop(self, request: web.Request) -> web.Response:
        """Remove all of a filter for good; without `confirm`, count them."""
        action = _converted(await _body(request), _Action)
        tally = _Tally(confirmed=action.confirm)

        async def remove(chunk: list[ParkedLetter]) -> None:
            if action.confirm:
                await asyncio.gather(*(self._letters.remove(letter, erase=True) for letter in chunk))
            tally.letters += len(chunk)
            tally.events += sum(letter.events for letter in chunk)

        await self._on_each(action, tally, remove)
        if action.confirm:
            self._log.warning("dead_letters_dropped", letters=tally.letters, chosen=_told_filter(action))
        return _json(tally)

    async def _on_each(self, action: _Action, tally: _Tally, each: Each) -> None:
        """Hand over the letters of the action's next LOOK_AT sequences, AT_ONCE at a time."""
        choice = action.choice(action.seq)
        first, last = await self._letters.span(choice)
        if action.up_to is not None:
            last = min(last, action.up_to)
        first = max(first, action.start or 0)
        end = min(last, first + LOOK_AT - 1)
        tally.up_to, tally.next = last, end + 1 if end < last else None
        async for chunk in _chunks(self._letters.chosen(choice, (first, end))):
            await each(chunk)

    async def _room(self) -> None:
        for pace in self._paces:
            await pace.room()


def _told(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answers a broker that is away with 503, and what can't be done now with 409."""

    async def told(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except Retryable as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"Dead letters: {error}", correlation_id_of(request))
        except Fatal as error:
            return problem(HTTPStatus.CONFLICT, str(error), correlation_id_of(request))

    return told


async def _body(request: web.Request) -> Any:
    try:
        return msgspec.json.decode(await request.read())
    except msgspec.MsgspecError as error:
        raise web.HTTPBadRequest(reason=f"The body is no JSON: {error}") from error


def _converted(value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise web.HTTPBadRequest(reason=str(error).replace("\n", " ")) from error


def _aware(moment: datetime | None) -> datetime | None:
    """A time without an offset is the gateway's own."""
    return moment.astimezone() if moment is not None and moment.tzinfo is None else moment


def _told_filter(action: _Action) -> dict[str, Any]:
    """For the log: who looks later must see what was acted on."""
    wanted = {"source": action.source, "reason": action.reason, "seq": action.seq, "up_to": action.up_to}
    return {name: value for name, value in wanted.items() if value is not None}


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=PRIVATE
    )


def _gone(request: web.Request) -> web.Response:
    return problem(
        HTTPStatus.NOT_FOUND, "There is no such dead letter; it was replayed or dropped", correlation_id_of(request)
    )


async def _chunks(letters: AsyncIterator[ParkedLetter]) -> AsyncIterator[list[ParkedLetter]]:
    chunk: list[ParkedLetter] = []
    async for letter in letters:
        chunk.append(letter)
        if len(chunk) == AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
