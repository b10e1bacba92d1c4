"""The ledger of a run: for every request what was sent, what the gateway said, and what its receipt says.

Invariant: an accepted event is in exactly one place: stored, duplicate, dead-lettered, pending, or missing.
`Totals.unaccounted` is what the receipts do not explain. Pure code: no clock, no I/O.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

# A request that got no answer may still be under way in the gateway, so one empty look proves nothing.
LOOKS_BEFORE_NOTHING_TAKEN = 5


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the gateway's receipt says of one correlation id; counts are events."""

    accepted: int
    stored: int
    duplicates: int
    dead_lettered: int
    complete: bool

    @property
    def accounted(self) -> int:
        """Accepted events whose fate is known."""
        return self.stored + self.duplicates + self.dead_lettered


@dataclass(slots=True)
class _Entry:
    events: int
    invalid: int
    repeated: int
    attempts: int = 0
    in_flight: bool = False
    unclear: bool = False
    claimed: int = 0
    best: int = 0
    refused: int | None = None
    receipt: Receipt | None = None
    empty_looks: int = 0

    @property
    def doubtful(self) -> bool:
        """More may have been taken than the answers say."""
        return self.in_flight or self.unclear

    @property
    def taken(self) -> int:
        return max(self.claimed, self.receipt.accepted if self.receipt else 0)

    @property
    def settled(self) -> bool:
        receipt = self.receipt
        if self.taken == 0:
            return not self.doubtful or self.empty_looks >= LOOKS_BEFORE_NOTHING_TAKEN
        return receipt is not None and receipt.complete and receipt.accepted >= self.claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over all requests sent so far; every count is events unless it says requests."""

    requests: int
    requests_answered: int
    requests_doubtful: int
    requests_outstanding: int
    attempts: int
    sent: int
    invalid: int
    repeated: int
    accepted: int  # counted once for each event, however often it was sent
    claimed: int  # the sum over all answers: a request sent twice counts twice, and so does its receipt
    refused: int
    refused_expected: int  # the invalid events of those requests that were answered in full
    receipts_accepted: int
    stored: int
    duplicates: int
    dead_lettered: int
    missing: int
    surplus: int

    @property
    def valid(self) -> int:
        """Events sent that deserve to be accepted."""
        return self.sent - self.invalid

    @property
    def unique(self) -> int:
        """The most rows this run can leave."""
        return self.valid - self.repeated

    @property
    def success_share(self) -> float:
        """Accepted of valid, 0 to 1; a run without a valid event has lost none."""
        return self.accepted / self.valid if self.valid else 1.0

    @property
    def unaccounted(self) -> int:
        """Accepted events the receipts say nothing of, or say too much of."""
        return self.missing + self.surplus

    @property
    def expected_duplicates(self) -> int | None:
        """Duplicates the receipts must show in a database that saw none of these events before.

        None when not every valid event was accepted: then a repetition may be the first to arrive.
        """
        if self.requests_doubtful or self.accepted != self.valid:
            return None
        return self.claimed - self.unique


@dataclass(slots=True)
class Ledger:
    """One entry a request, by correlation id. Unknown ids raise KeyError: they are a bug of the caller."""

    _entries: dict[str, _Entry] = field(default_factory=dict)

    def sending(self, correlation_id: str, *, events: int, invalid: int, repeated: int) -> None:
        """An attempt starts; a retry under the same id adds to its entry."""
        entry = self._entries.setdefault(correlation_id, _Entry(events, invalid, repeated))
        entry.attempts += 1
        entry.in_flight = True

    def answered(self, correlation_id: str, *, processed: int, refused: int | None, maybe_taken: bool = False) -> None:
        """The gateway took `processed`; `refused` only from an answer that covers every event.

        `maybe_taken`: more than `processed` may turn out to be durable, as after a 503.
        """
        entry = self._entries[correlation_id]
        entry.in_flight = False
        entry.claimed += processed
        entry.unclear = entry.unclear or maybe_taken
        entry.best = max(entry.best, min(processed, entry.events))
        if refused is not None:
            entry.refused = refused

    def unanswered(self, correlation_id: str, *, maybe_taken: bool) -> None:
        """No usable answer; `maybe_taken` unless it is certain that the gateway never had the request."""
        entry = self._entries[correlation_id]
        entry.in_flight = False
        entry.unclear = entry.unclear or maybe_taken

    def receipt(self, correlation_id: str, receipt: Receipt | None) -> bool:
        """The newest receipt, or None where the gateway knows none; returns whether the entry is settled."""
        entry = self._entries[correlation_id]
        if receipt is None or receipt.accepted == 0:
            entry.empty_looks += 1
        else:
            entry.receipt = receipt
        return entry.settled

    def outstanding(self) -> list[str]:
        """Requests whose receipts have still something to say, the oldest first."""
        return [correlation_id for correlation_id, entry in self._entries.items() if not entry.settled]

    def frontier(self) -> list[str]:
        """Answered requests behind the last that is known to be stored, the oldest first."""
        answered = [(name, entry) for name, entry in self._entries.items() if not entry.in_flight]
        stored = self._stored_up_to(entry for _, entry in answered)
        return [name for name, entry in answered[stored:] if not entry.settled]

    def stored_about(self) -> int:
        """Events whose fate is known, or follows: streams are stored in their order, so what was answered before a
        request that is stored is taken to be stored too. For a chart; the totals take nothing for granted.
        """
        answered = [entry for entry in self._entries.values() if not entry.in_flight]
        stored = self._stored_up_to(answered)
        behind = (entry.receipt.accounted for entry in answered[stored:] if entry.receipt)
        return sum(entry.claimed for entry in answered[:stored]) + sum(behind)

    @staticmethod
    def _stored_up_to(answered: Iterable[_Entry]) -> int:
        """How many of these stand before, or are, the last one with a complete receipt."""
        stored = 0
        for place, entry in enumerate(answered, 1):
            if entry.receipt is not None and entry.settled:
                stored = place
        return stored

    def accounted(self) -> int:
        """Events whose fate is known so far: what a progress bar shows."""
        return sum(entry.receipt.accounted for entry in self._entries.values() if entry.receipt)

    def claimed(self) -> int:
        """Events the answers so far say were accepted."""
        return sum(entry.claimed for entry in self._entries.values())

    def totals(self) -> Totals:
        """Everything summed, at this moment."""
        entries = self._entries.values()
        receipts = [entry.receipt for entry in entries if entry.receipt]
        # Compared request by request: a loss in one must not hide behind a surplus in another.
        gaps = [entry.taken - (entry.receipt.accounted if entry.receipt else 0) for entry in entries]
        return Totals(
            requests=len(entries),
            requests_answered=sum(entry.refused is not None for entry in entries),
            requests_doubtful=sum(entry.doubtful for entry in entries),
            requests_outstanding=sum(not entry.settled for entry in entries),
            attempts=sum(entry.attempts for entry in entries),
            sent=sum(entry.events for entry in entries),
            invalid=sum(entry.invalid for entry in entries),
            repeated=sum(entry.repeated for entry in entries),
            accepted=sum(entry.best for entry in entries),
            claimed=sum(entry.claimed for entry in entries),
            refused=sum(entry.refused or 0 for entry in entries),
            refused_expected=sum(entry.invalid for entry in entries if entry.refused is not None),
            receipts_accepted=sum(receipt.accepted for receipt in receipts),
            stored=sum(receipt.stored for receipt in receipts),
            duplicates=sum(receipt.duplicates for receipt in receipts),
            dead_lettered=sum(receipt.dead_lettered for receipt in receipts),
            missing=sum(gap for gap in gaps if gap > 0),
            surplus=-sum(gap for gap in gaps if gap < 0) + _overstated(entries),
        )


def _overstated(entries: Iterable[_Entry]) -> int:
    """Events the receipts say were accepted although every answer is in and they say otherwise."""
    return sum(
        entry.receipt.accepted - entry.claimed
        for entry in entries
        if entry.receipt and not entry.doubtful and entry.receipt.accepted > entry.claimed
    )
