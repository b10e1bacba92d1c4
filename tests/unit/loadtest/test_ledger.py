"""The ledger: what was accepted against what the receipts explain."""

from loadtest.ledger import LOOKS_BEFORE_NOTHING_TAKEN, Ledger, Receipt


def _sent(ledger: Ledger, name: str, *, events: int = 100, invalid: int = 0, repeated: int = 0) -> None:
    ledger.sending(name, events=events, invalid=invalid, repeated=repeated)


def _receipt(accepted: int, stored: int, duplicates: int = 0, dead: int = 0, *, complete: bool = True) -> Receipt:
    return Receipt(accepted, stored, duplicates, dead, complete)


def test_a_run_in_which_everything_arrives_adds_up() -> None:
    ledger = Ledger()
    _sent(ledger, "a", invalid=10)
    ledger.answered("a", processed=90, refused=10)
    _sent(ledger, "b", repeated=5)
    ledger.answered("b", processed=100, refused=0)
    assert ledger.outstanding() == ["a", "b"]
    assert ledger.receipt("a", _receipt(90, 90))
    assert ledger.receipt("b", _receipt(100, 94, 5, 1))
    totals = ledger.totals()
    assert ledger.outstanding() == []
    assert (totals.sent, totals.valid, totals.accepted, totals.unique) == (200, 190, 190, 185)
    assert (totals.stored, totals.duplicates, totals.dead_lettered) == (184, 5, 1)
    assert (totals.refused, totals.refused_expected) == (10, 10)
    assert totals.expected_duplicates == 5
    assert totals.unaccounted == 0
    assert totals.success_share == 1


def test_a_loss_in_one_request_does_not_hide_behind_a_surplus_in_another() -> None:
    ledger = Ledger()
    for name in ("a", "b"):
        _sent(ledger, name)
        ledger.answered(name, processed=100, refused=0)
    ledger.receipt("a", _receipt(100, 97))
    ledger.receipt("b", _receipt(100, 103))
    totals = ledger.totals()
    assert (totals.missing, totals.surplus) == (3, 3)
    assert totals.unaccounted == 6


def test_a_receipt_that_says_less_than_the_answer_is_not_settled() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    ledger.answered("a", processed=100, refused=0)
    assert not ledger.receipt("a", _receipt(60, 60))
    assert ledger.totals().missing == 40
    assert not ledger.receipt("a", _receipt(100, 60, complete=False))
    assert ledger.receipt("a", _receipt(100, 100))


def test_a_receipt_that_says_more_than_every_answer_is_a_surplus() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    ledger.answered("a", processed=100, refused=0)
    ledger.receipt("a", _receipt(130, 130))
    assert ledger.totals().surplus == 30


def test_an_accepted_request_without_a_receipt_is_missing_as_a_whole() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    ledger.answered("a", processed=100, refused=0)
    for _ in range(LOOKS_BEFORE_NOTHING_TAKEN + 1):
        assert not ledger.receipt("a", None)
    assert ledger.totals().missing == 100


def test_a_request_without_an_answer_is_followed_until_its_receipt_explains_it() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    ledger.unanswered("a", maybe_taken=True)
    assert ledger.outstanding() == ["a"]
    assert not ledger.receipt("a", _receipt(100, 40, complete=False))
    assert ledger.receipt("a", _receipt(100, 100))
    totals = ledger.totals()
    assert totals.accepted == 0
    assert (totals.unaccounted, totals.requests_doubtful) == (0, 1)
    assert totals.expected_duplicates is None


def test_a_request_without_an_answer_and_without_a_receipt_is_let_go_after_some_looks() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    ledger.unanswered("a", maybe_taken=True)
    looks = [ledger.receipt("a", None) for _ in range(LOOKS_BEFORE_NOTHING_TAKEN)]
    assert looks == [False] * (LOOKS_BEFORE_NOTHING_TAKEN - 1) + [True]
    assert ledger.totals().unaccounted == 0


def test_a_request_that_never_reached_the_gateway_is_not_asked_for() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    ledger.unanswered("a", maybe_taken=False)
    assert ledger.outstanding() == []
    assert ledger.totals().success_share == 0


def test_what_became_durable_after_a_503_is_accounted_for_and_no_surplus() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    ledger.answered("a", processed=40, refused=None, maybe_taken=True)
    assert ledger.receipt("a", _receipt(60, 60))
    totals = ledger.totals()
    assert (totals.accepted, totals.stored, totals.unaccounted) == (40, 60, 0)
    assert totals.expected_duplicates is None


def test_a_request_in_flight_is_doubtful() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    assert ledger.outstanding() == ["a"]
    assert ledger.totals().requests_doubtful == 1


def test_a_retried_request_counts_once_as_success_and_twice_in_the_accounts() -> None:
    ledger = Ledger()
    _sent(ledger, "a")
    ledger.answered("a", processed=40, refused=None)
    _sent(ledger, "a")
    ledger.answered("a", processed=100, refused=0)
    assert not ledger.receipt("a", _receipt(100, 100))
    assert ledger.receipt("a", _receipt(140, 100, 40))
    totals = ledger.totals()
    assert (totals.requests, totals.attempts) == (1, 2)
    assert (totals.sent, totals.accepted, totals.claimed) == (100, 100, 140)
    assert totals.expected_duplicates == 40
    assert totals.unaccounted == 0


def test_invalid_events_are_expected_refused_only_where_the_answer_covers_the_request() -> None:
    ledger = Ledger()
    _sent(ledger, "a", invalid=10)
    ledger.answered("a", processed=20, refused=None)
    totals = ledger.totals()
    assert (totals.refused, totals.refused_expected) == (0, 0)


def test_a_run_without_a_valid_event_has_lost_none() -> None:
    ledger = Ledger()
    _sent(ledger, "a", invalid=100)
    ledger.answered("a", processed=0, refused=100)
    assert ledger.outstanding() == []
    assert ledger.totals().success_share == 1


def test_the_frontier_is_what_was_answered_behind_the_last_stored_request() -> None:
    ledger = Ledger()
    for name in "abcdef":
        ledger.sending(name, events=10, invalid=0, repeated=0)
    for name in "abcde":  # f is still under way
        ledger.answered(name, processed=10, refused=0)
    assert ledger.frontier() == list("abcde")
    assert ledger.stored_about() == 0
    ledger.receipt("c", Receipt(10, 9, 1, 0, complete=True))
    ledger.receipt("d", Receipt(10, 4, 0, 0, complete=False))
    assert ledger.frontier() == ["d", "e"]
    assert ledger.stored_about() == 34
    assert ledger.accounted() == 14  # what is known, and not only likely
    assert ledger.outstanding() == ["a", "b", "d", "e", "f"]
