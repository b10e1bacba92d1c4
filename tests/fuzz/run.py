"""The run: cases over connections that are kept open, each answer checked, and the streams counted at the end.

Through a real process and real sockets, not the handlers alone: header parsing, broken bodies that end a connection,
and what one request leaves behind for the next on its connection are where such a service breaks; and "it is still
alive" says something only of a process. The price is about half a millisecond a case.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.fuzz import checks, corpus
from tests.fuzz.case import BULK_PATH, Case
from tests.fuzz.cases import Cases
from tests.fuzz.connection import Broken, Connection
from tests.fuzz.program import Program, gateway
from tests.fuzz.stored import stored

CONNECTIONS: Final = 24
PROBE_EVERY: Final = 500
MAX_FAILURES: Final = 20
_MINIMISE_TRIES: Final = 300
_STREAM_BYTES: Final = 512 * 1024 * 1024
_JSON: Final = [(b"Content-Type", b"application/json")]


@dataclass
class Result:
    """What came of a run. `failures`: a line each; a case that failed is in the file its line names."""

    seed: int
    cases: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    processed: int = 0
    stored: int = 0
    probes: int = 0
    rss_bytes: tuple[int, int] = (0, 0)
    failures: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """For people."""
        answered = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        before, after = (round(rss / 2**20) for rss in self.rss_bytes)
        rate = self.cases / self.seconds
        yield f"seed {self.seed}: {self.cases:,} cases in {self.seconds:.1f} s, {rate:,.0f} a second"
        yield f"answers {answered}; {self.probes:,} valid events between them, all taken"
        yield f"{self.processed:,} events processed, {self.stored:,} in the streams"
        yield f"memory {before} MiB, then {after} MiB"
        yield from self.failures
        yield f"{len(self.failures)} failures"


async def run(
    nats_url: str, *, cases: int, seed: int, first: int = 0, settings: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Result:  # fmt: skip
    """Send `cases` cases of a seed, from number `first` on. Never raises for what the gateway does wrong."""
    own = {"STREAM_MAX_BYTES": str(_STREAM_BYTES), "NATS_BATCH_SIZE": "50"} | checks.LIMITS
    async with gateway(nats_url, **own | dict(settings or {})) as program:
        return await _Run(program, Cases(seed), Result(seed), progress).through(nats_url, range(first, first + cases))


class _Run:
    def __init__(self, program: Program, cases: Cases, result: Result, progress: Callable[[int], None]) -> None:
        self._program = program
        self._cases = cases
        self._result = result
        self._progress = progress
        self._failed: list[tuple[Case, str]] = []
        self._probe = b"[" + corpus.valid_event(result.seed) + b"]"

    async def through(self, nats_url: str, numbers: range) -> Result:
        result, left = self._result, iter(numbers)
        before, started = self._program.rss_bytes(), time.perf_counter()
        await asyncio.gather(*(self._send(left) for _ in range(CONNECTIONS)))
        result.seconds = time.perf_counter() - started
        await self._is_well()
        if self._program.process.returncode is None:
            result.rss_bytes = (before, self._program.rss_bytes())
        found = await stored(nats_url, self._program.names)
        result.stored = found.events
        result.failures += found.odd[:MAX_FAILURES]
        if found.events != result.processed:
            result.failures.append(
                f"{result.processed} events were answered as processed, and {found.events} are stored"
            )
        for case, complaint in self._failed:
            result.failures.append(await self._saved(case, complaint))
        return result

    async def _send(self, numbers: Iterator[int]) -> None:
        async with self._program.connection() as connection:
            for number in numbers:
                case = self._cases[number]
                found = await self._complaints(connection, case)
                self._result.cases += 1
                self._failed += [(case, complaint) for complaint in found]
                if number % PROBE_EVERY == 0:
                    await self._is_well()
                    self._progress(self._result.cases)
                if len(self._failed) >= MAX_FAILURES or self._program.process.returncode is not None:
                    return

    async def _complaints(self, connection: Connection, case: Case) -> list[str]:
        try:
            answer = await connection.post(case.path, case.body, case.headers, is_chunked=case.is_chunked)
        except Broken as error:
            return [str(error)]
        self._result.statuses[answer.status] += 1
        found = list(checks.complaints(case, answer))
        if not found:
            self._result.processed += checks.processed(answer)
        return found

    async def _is_well(self) -> None:
        """A valid event is taken, and the process says that it lives."""
        async with self._program.connection() as connection:
            try:
                answer = await connection.post(BULK_PATH, self._probe, _JSON)
                live = await connection.get("/health/live")
            except Broken as error:
                self._result.failures.append(f"a valid event after {self._result.cases} cases: {error}")
                return
        self._result.probes += 1
        if (answer.status, live.status) == (200, 200):
            self._result.processed += 1
        else:
            self._result.failures.append(f"a valid event: {answer.status} {answer.body[:300]!r}, live: {live.status}")

    async def _saved(self, case: Case, complaint: str) -> str:
        """A line on a case that failed, which is in a file: made as short as it fails still."""
        smallest = await self._minimised(case)
        folder = Path(tempfile.gettempdir()) / "floodgate-fuzz"
        folder.mkdir(exist_ok=True)
        file = folder / f"seed-{self._result.seed}-case-{case.number}.json"
        file.write_text(smallest.saved(), encoding="utf-8")
        return f"case {case.number} ({case.origin}): {complaint}; {smallest.body[:120]!r}; kept in {file}"

    async def _minimised(self, case: Case) -> Case:
        """Drop pieces of the body, ever smaller ones, while an answer is still wrong."""
        async with self._program.connection() as connection:
            piece, tries = len(case.body) // 2, 0
            while piece and tries < _MINIMISE_TRIES and self._program.process.returncode is None:
                at = 0
                while at < len(case.body) and tries < _MINIMISE_TRIES:
                    shorter, tries = replace(case, body=case.body[:at] + case.body[at + piece :]), tries + 1
                    if await self._complaints(connection, shorter):
                        case = shorter
                    else:
                        at += piece
                piece //= 2
        return case
