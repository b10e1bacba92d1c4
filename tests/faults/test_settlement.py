"""The settlement can fail: a sound phase is found sound, and each doctored one is found out."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import islice

import pytest

from loadtest.generator import Plan, batches
from tests.faults.ledger import Ledger
from tests.faults.settlement import BookedMessage, Evidence, StoredEvent, settle

REQUESTS = 3


def test_a_phase_in_which_all_went_well_is_sound() -> None:
    ledger, evidence = _phase()
    verdict = settle(ledger, evidence)
    assert list(verdict.sentences()) == []
    assert verdict.is_sound
    assert verdict.acknowledged == verdict.stored == len(evidence.events) > 0
    assert any(fact.amount is not None for fact in ledger.facts.values())


def test_one_lost_event_is_found() -> None:
    ledger, evidence = _phase()
    lost = evidence.events[0]
    evidence.events = evidence.events[1:]
    verdict = settle(ledger, evidence)
    assert verdict.lost == {lost.event_id}
    assert not verdict.is_sound


def test_one_doubled_event_is_found() -> None:
    ledger, evidence = _phase()
    evidence.events = [*evidence.events, evidence.events[0]]
    verdict = settle(ledger, evidence)
    assert verdict.doubled == {evidence.events[0].event_id}
    assert not verdict.is_sound


def test_one_alien_event_is_found() -> None:
    ledger, evidence = _phase()
    evidence.events = [*evidence.events, evidence.events[0]._replace(event_id="fb-never-sent")]
    verdict = settle(ledger, evidence)
    assert verdict.alien == {"fb-never-sent"}
    assert not verdict.is_sound


def test_a_dead_letter_accounts_for_an_event_that_is_not_stored() -> None:
    ledger, evidence = _phase()
    dead = next(row for row in evidence.events if ledger.facts[row.event_id].amount is None)
    _bury(evidence, dead)
    verdict = settle(ledger, evidence)
    assert list(verdict.sentences()) == []
    assert verdict.dead_letters == 1


def test_an_event_that_is_stored_and_dead_is_doubled() -> None:
    ledger, evidence = _phase()
    evidence.dead_letters = [(evidence.events[0].event_id, "data_error")]
    assert settle(ledger, evidence).doubled == {evidence.events[0].event_id}


def test_an_event_without_a_2xx_may_be_stored_or_not() -> None:
    ledger, evidence = _phase()
    ledger.requests["p-0"].acknowledged = False
    assert settle(ledger, evidence).lost == set()


def _alter(evidence: Evidence) -> None:
    evidence.events = [evidence.events[0]._replace(digest="0" * 32), *evidence.events[1:]]


def _lose_an_amount(evidence: Evidence) -> None:
    evidence.revenue = evidence.revenue[1:]


def _change_an_amount(evidence: Evidence) -> None:
    [(event_id, amount), *rest] = evidence.revenue
    evidence.revenue = [(event_id, amount + Decimal("0.01")), *rest]


def _double_an_amount(evidence: Evidence) -> None:
    evidence.revenue = [*evidence.revenue, evidence.revenue[0]]


def _lose_a_user(evidence: Evidence) -> None:
    evidence.demographics = evidence.demographics[1:]


def _double_a_user(evidence: Evidence) -> None:
    evidence.demographics = [*evidence.demographics, evidence.demographics[0]]


def _book_one_less(evidence: Evidence) -> None:
    first, *rest = evidence.batches
    evidence.batches = [first._replace(inserted=first.inserted - 1), *rest]


def _book_twice(evidence: Evidence) -> None:
    evidence.batches = [*evidence.batches, evidence.batches[0]]


def _lose_a_receipt(evidence: Evidence) -> None:
    evidence.receipts = {**evidence.receipts, "p-0": None}


def _leave_a_receipt_open(evidence: Evidence) -> None:
    evidence.receipts = {**evidence.receipts, "p-0": {**(evidence.receipts["p-0"] or {}), "complete": False}}


def _lose_a_record(evidence: Evidence) -> None:
    evidence.receipts = {**evidence.receipts, "p-0": {**(evidence.receipts["p-0"] or {}), "requests": 0}}


def _park_without_a_reason(evidence: Evidence) -> None:
    evidence.dead_letters = [(evidence.events[0].event_id, "")]


@pytest.mark.parametrize(
    "doctor",
    [
        _alter,
        _lose_an_amount,
        _change_an_amount,
        _double_an_amount,
        _lose_a_user,
        _double_a_user,
        _book_one_less,
        _book_twice,
        _lose_a_receipt,
        _leave_a_receipt_open,
        _lose_a_record,
        _park_without_a_reason,
    ],
)
def test_figures_that_do_not_agree_are_found(doctor: Callable[[Evidence], None]) -> None:
    ledger, evidence = _phase()
    doctor(evidence)
    assert not settle(ledger, evidence).is_sound


def test_a_request_that_never_got_a_2xx_is_found() -> None:
    ledger, evidence = _phase()
    ledger.requests["p-1"].acknowledged = False
    assert not settle(ledger, evidence).is_sound


def _phase() -> tuple[Ledger, Evidence]:
    """A ledger of some requests, all answered 200, and the evidence that a perfect run would leave."""
    ledger = Ledger()
    evidence = Evidence()
    events: list[StoredEvent] = []
    booked: list[BookedMessage] = []
    for batch in islice(batches(Plan(total=10_000, batch=100, invalid_share=0.02, seed=7)), REQUESTS):
        correlation_id = f"p-{batch.number}"
        ledger.sending(correlation_id, batch)
        request = ledger.requests[correlation_id]
        ledger.answered(correlation_id, status=200, processed=len(request.events))
        for event_id in request.events:
            fact = ledger.facts[event_id]
            events.append(StoredEvent(event_id, correlation_id, fact.source, fact.user_id, fact.digest))
        count = len(request.events)
        booked.append(BookedMessage(correlation_id, f"m-{batch.number}", count, count, 0, 0))
    evidence = replace(
        evidence,
        events=events,
        batches=booked,
        revenue=[(key, fact.amount) for key, fact in ledger.facts.items() if fact.amount is not None],
        demographics=[(fact.source, fact.user_id) for fact in ledger.facts.values()],
        receipts={message.correlation_id: _receipt(message) for message in booked},
    )
    return ledger, evidence


def _receipt(message: BookedMessage) -> dict[str, object]:
    return {
        "accepted": message.events,
        "stored": message.inserted,
        "duplicates": message.duplicates,
        "deadLettered": message.dead_lettered,
        "complete": True,
        "requests": 1,
    }


def _bury(evidence: Evidence, dead: StoredEvent) -> None:
    """The same phase, with one event in the dead letters instead of the tables."""
    evidence.events = [row for row in evidence.events if row != dead]
    evidence.demographics = [user for user in evidence.demographics if user != (dead.source, dead.user_id)]
    evidence.dead_letters = [(dead.event_id, "data_error")]
    evidence.batches = [
        message._replace(inserted=message.inserted - 1, dead_lettered=1)
        if message.correlation_id == dead.correlation_id
        else message
        for message in evidence.batches
    ]
    evidence.receipts = {message.correlation_id: _receipt(message) for message in evidence.batches}
