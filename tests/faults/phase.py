"""One phase of a run: a fault, injected several times under load, then the settlement of what was sent meanwhile."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.faults.broker_faults import senders_hang_up
from tests.faults.fault import Fault
from tests.faults.ledger import Ledger
from tests.faults.link_faults import DROPS
from tests.faults.sender import Sender
from tests.faults.settlement import Evidence, Verdict, settle
from tests.faults.world import World

WARM_UP_TIMEOUT_S: Final = 30.0
RECOVERY_TIMEOUT_S: Final = 90.0
DRAIN_TIMEOUT_S: Final = 120.0
RECEIPTS_AT_ONCE: Final = 8
RECEIPTS_TIMEOUT_S: Final = 60.0
MOMENT_S: Final = (0.05, 0.6)
"""Between the recovery from one fault and the next."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Faults, and how often they are injected, one after the other; `world` names the kind of world that they take."""

    name: str
    faults: tuple[Fault, ...]
    times: int
    world: str

    @property
    def injections(self) -> int:
        """Faults in all."""
        return len(self.faults) * self.times


@dataclass(slots=True, kw_only=True)
class Result:
    """One line of the table. `trouble`: everything that is not as promised, for people."""

    fault: str
    world: str
    injected: int = 0
    requests: int = 0
    attempts: int = 0
    acknowledged: int = 0
    stored: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    lost: int = 0
    doubled: int = 0
    alien: int = 0
    longest_outage_s: float = 0.0
    recoveries_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)

    @property
    def recovery_s(self) -> float:
        """The slowest recovery."""
        return max(self.recoveries_s, default=0.0)


async def run_phase(
    world: World, scenario: Scenario, *, phase: str, seed: int, receipts_within_s: float = RECEIPTS_TIMEOUT_S
) -> Result:
    """Run one scenario in a world that is up. Faults that go wrong are trouble in the result; nothing is raised."""
    started_s = time.monotonic()
    result = Result(fault=scenario.name, world=scenario.world)
    ledger = Ledger()
    sender = Sender(url=world.url, phase=phase, seed=seed, ledger=ledger)
    surprises = len(world.surprises)
    sender.start()
    try:
        await sender.succeeded_since(0.0, within_s=WARM_UP_TIMEOUT_S)
        for fault in scenario.faults * scenario.times:
            await asyncio.sleep(world.random.uniform(*MOMENT_S))
            if fault is senders_hang_up:
                sender.drop_next = DROPS
            await fault(world, world.random)
            result.injected += 1
            result.recoveries_s.append(await _recovered(world, sender))
    except TimeoutError:
        result.trouble.append(f"no recovery from injection {result.injected} in time")
    except Exception as error:  # noqa: BLE001 - a supervisor: a fault that fails is a result of the run
        result.trouble.append(f"{type(error).__name__}: {error}")
    verdict = await _settled(world, sender, result, receipts_within_s=receipts_within_s)
    _note(result, sender, verdict)
    result.trouble += world.surprises[surprises:]
    result.seconds = time.monotonic() - started_s
    return result


async def _recovered(world: World, sender: Sender) -> float:
    """Seconds until a request that began after the fault is answered 2xx and all that is in the streams is stored."""
    mended_s = time.monotonic()
    await sender.succeeded_since(mended_s, within_s=RECOVERY_TIMEOUT_S)
    await world.broker.read_to_here(within_s=RECOVERY_TIMEOUT_S)
    recovered_s = time.monotonic() - mended_s
    await world.healthy(within_s=RECOVERY_TIMEOUT_S)  # for the next fault to find everything up
    return recovered_s


async def _settled(world: World, sender: Sender, result: Result, *, receipts_within_s: float) -> Verdict:
    try:
        await sender.finish(within_s=DRAIN_TIMEOUT_S)
        await world.healthy(within_s=DRAIN_TIMEOUT_S)
        await world.broker.read_to_here(within_s=DRAIN_TIMEOUT_S)
    except TimeoutError:
        result.trouble.append("the senders' retries or the collectors' drain did not end in time")
    try:
        evidence = await world.tables.evidence(sender.phase)
        evidence.dead_letters, world.dead_letters_seen = await world.broker.dead_letters(
            after_seq=world.dead_letters_seen
        )
        evidence.receipts = await _receipts(world, sender.ledger, within_s=receipts_within_s)
    except (TimeoutError, OSError) as error:
        result.trouble.append(f"the evidence could not be read: {error!r}")
        evidence = Evidence()
    verdict = await asyncio.to_thread(settle, sender.ledger, evidence)
    result.trouble += verdict.sentences()
    return verdict


def _note(result: Result, sender: Sender, verdict: Verdict) -> None:
    result.requests = len(sender.ledger.requests)
    result.attempts = sender.attempts
    result.answers = dict(sorted(sender.answers.items()))
    result.longest_outage_s = sender.successes.longest_gap_s
    result.acknowledged = verdict.acknowledged
    result.stored = verdict.stored
    result.duplicates = verdict.duplicates
    result.dead_letters = verdict.dead_letters
    result.lost = len(verdict.lost)
    result.doubled = len(verdict.doubled)
    result.alien = len(verdict.alien) + len(verdict.altered)


async def _receipts(world: World, ledger: Ledger, *, within_s: float) -> dict[str, dict[str, Any] | None]:
    """The receipt of each request, asked until it is complete or the deadline has passed."""
    turn = asyncio.Semaphore(RECEIPTS_AT_ONCE)
    deadline_s = time.monotonic() + within_s

    async def read(session: aiohttp.ClientSession, correlation_id: str) -> dict[str, Any] | None:
        receipt: dict[str, Any] | None = None
        async with turn:
            while True:
                async with session.get(f"{world.direct_url}/webhook/events/bulk/{correlation_id}") as answer:
                    if answer.status == 200:
                        receipt = await answer.json()
                if (receipt is not None and receipt["complete"]) or time.monotonic() > deadline_s:
                    return receipt
                await asyncio.sleep(0.1)

    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=RECEIPTS_TIMEOUT_S)) as session:
            ids = list(ledger.requests)
            return dict(zip(ids, await asyncio.gather(*(read(session, one) for one in ids)), strict=True))
    except aiohttp.ClientError as error:
        raise OSError(f"receipts: {error!r}") from error
