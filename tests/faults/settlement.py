"""The judgement: what was sent and answered, against what is there. Pure, so that it can be tested to fail.

Invariant: `Verdict.is_sound` only where every acknowledged event is stored once or dead-lettered, nothing is stored
that was never sent, nothing was changed on the way, and the books (the table `batches`, and every receipt) say the
same as the tables themselves.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from tests.faults.ledger import Ledger

MAX_SENTENCES = 20
"""Of one kind in a verdict: the first ones tell what happened, and thousands of them nothing more."""


class StoredEvent(NamedTuple):
    """A row of `events`."""

    event_id: str
    correlation_id: str
    source: str
    user_id: str
    digest: str


class BookedMessage(NamedTuple):
    """A row of `batches`."""

    correlation_id: str
    message_id: str
    events: int
    inserted: int
    duplicates: int
    dead_lettered: int


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What PostgreSQL, the dead letters and the receipts hold of a phase. Lists, so that doubles can be seen."""

    events: Sequence[StoredEvent] = ()
    revenue: Sequence[tuple[str, Decimal]] = ()
    demographics: Sequence[tuple[str, str]] = ()
    batches: Sequence[BookedMessage] = ()
    dead_letters: Sequence[tuple[str, str]] = ()
    """Event id and reason of each."""
    receipts: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Verdict:
    """Ids of events that are wrong, by how; `books` are sentences on figures that do not add up."""

    acknowledged: int = 0
    stored: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    alien: set[str] = field(default_factory=set)
    altered: set[str] = field(default_factory=set)
    books: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.doubled or self.alien or self.altered or self.books)

    def sentences(self) -> Iterator[str]:
        """What is wrong, for people."""
        for name in ("lost", "doubled", "alien", "altered"):
            if ids := getattr(self, name):
                yield f"{len(ids)} {name}, for instance {', '.join(sorted(ids)[:3])}"
        yield from self.books[:MAX_SENTENCES]


def settle(ledger: Ledger, evidence: Evidence) -> Verdict:
    """Judge one phase, all retries finished and all collectors drained."""
    stored = Counter(row.event_id for row in evidence.events)
    dead = {event_id for event_id, _ in evidence.dead_letters}
    acknowledged = ledger.acknowledged
    verdict = Verdict(
        acknowledged=len(acknowledged),
        stored=len(evidence.events),
        duplicates=sum(row.duplicates for row in evidence.batches),
        dead_letters=len(dead),
        lost=acknowledged - stored.keys() - dead,
        doubled={event_id for event_id, times in stored.items() if times > 1} | (dead & stored.keys()),
        alien=(stored.keys() | dead) - ledger.facts.keys(),
    )
    _compare_rows(ledger, evidence, verdict)
    _compare_amounts(ledger, evidence, verdict, stored.keys())
    _compare_users(ledger, evidence, verdict, stored.keys())
    _compare_books(ledger, evidence, verdict)
    verdict.books += [
        f"a dead letter without a reason: {event}" for event, reason in evidence.dead_letters if not reason
    ]
    if ledger.outstanding:
        verdict.books.append(f"{ledger.outstanding} requests never got a 2xx, however often they were sent")
    return verdict


def _compare_rows(ledger: Ledger, evidence: Evidence, verdict: Verdict) -> None:
    for row in evidence.events:
        fact = ledger.facts.get(row.event_id)
        if fact is not None and (fact.source, fact.user_id, fact.digest) != (row.source, row.user_id, row.digest):
            verdict.altered.add(row.event_id)
        request = ledger.requests.get(row.correlation_id)
        if request is None or row.event_id not in request.events:
            verdict.alien.add(row.event_id)  # no such request, or it did not hold this event


def _compare_amounts(ledger: Ledger, evidence: Evidence, verdict: Verdict, stored: Sequence[str] | Any) -> None:
    amounts = {key: ledger.facts[key].amount for key in stored if key in ledger.facts}
    expected = {key: amount for key, amount in amounts.items() if amount is not None}
    counts = Counter(event_id for event_id, _ in evidence.revenue)
    verdict.doubled |= {event_id for event_id, times in counts.items() if times > 1}
    verdict.alien |= counts.keys() - expected.keys()
    verdict.altered |= {key for key, amount in evidence.revenue if key in expected and expected[key] != amount}
    if missing := expected.keys() - counts.keys():
        verdict.books.append(f"{len(missing)} stored events have lost their amount: {sorted(missing)[:3]}")
    total, booked = sum(expected.values()), sum(amount for _, amount in evidence.revenue)
    if total != booked:
        verdict.books.append(f"the amounts sent sum to {total}, those stored to {booked}")


def _compare_users(ledger: Ledger, evidence: Evidence, verdict: Verdict, stored: Sequence[str] | Any) -> None:
    expected = {(ledger.facts[key].source, ledger.facts[key].user_id) for key in stored if key in ledger.facts}
    counts = Counter(evidence.demographics)
    verdict.books += [f"user {user} is there {times} times" for user, times in counts.items() if times > 1]
    if missing := expected - counts.keys():
        verdict.books.append(f"{len(missing)} users of stored events are missing: {sorted(missing)[:3]}")
    if surplus := counts.keys() - expected:
        verdict.books.append(f"{len(surplus)} users have no stored event: {sorted(surplus)[:3]}")


def _compare_books(ledger: Ledger, evidence: Evidence, verdict: Verdict) -> None:
    """accepted = inserted + duplicates + dead-lettered, for each request, in the tables and in its receipt."""
    rows = Counter(row.correlation_id for row in evidence.events)
    booked: dict[str, Counter[str]] = {}
    for message in evidence.batches:
        line = booked.setdefault(message.correlation_id, Counter())
        line["accepted"] += message.events
        line["stored"] += message.inserted
        line["duplicates"] += message.duplicates
        line["deadLettered"] += message.dead_lettered
    verdict.books += [
        f"message {message_id} is booked {times} times"
        for message_id, times in Counter(message.message_id for message in evidence.batches).items()
        if times > 1
    ]
    if unknown := booked.keys() - ledger.requests.keys():
        verdict.books.append(f"booked and never sent: {sorted(unknown)[:3]}")
    for correlation_id, request in ledger.requests.items():
        line = booked.get(correlation_id, Counter())
        known = line["stored"] + line["duplicates"] + line["deadLettered"]
        if line["accepted"] != known:
            verdict.books.append(f"{correlation_id}: {line['accepted']} booked, {known} of them accounted for")
        if line["stored"] != rows[correlation_id]:
            verdict.books.append(f"{correlation_id}: {line['stored']} booked as stored, {rows[correlation_id]} rows")
        if line["accepted"] < request.processed:
            verdict.books.append(f"{correlation_id}: {request.processed} acknowledged, {line['accepted']} booked")
        receipt = evidence.receipts.get(correlation_id)
        if receipt is None:
            verdict.books.append(f"{correlation_id}: no receipt")
        elif not receipt["complete"] or any(receipt[name] != line[name] for name in _FIGURES):
            said = {name: receipt[name] for name in (*_FIGURES, "complete")}
            verdict.books.append(f"{correlation_id}: the receipt says {said}, the tables {dict(line)}")
        elif request.acknowledged and not receipt["requests"]:
            verdict.books.append(f"{correlation_id}: answered 2xx, and no record of it is in its receipt")


_FIGURES = ("accepted", "stored", "duplicates", "deadLettered")
