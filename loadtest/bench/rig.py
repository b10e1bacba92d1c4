"""What every phase needs: the stack, the load, the count of what is stored, and the account that must add up.

Invariant: a phase begins when everything before it is stored, and ends when every receipt of its own says so too.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from loadtest.bench import bodies as made
from loadtest.bench.bodies import Bodies, Body, Sign, unsigned
from loadtest.bench.load_process import LoadProcess, load_process
from loadtest.bench.meter import Meter
from loadtest.bench.stack import Stack, running_stack
from loadtest.bench.stored import Stored
from loadtest.errors import CannotRun, ErrorGroups
from loadtest.generator import Plan
from loadtest.ledger import Ledger
from loadtest.receipts import ReceiptWatch

_RECEIPTS_WAIT_S = 60.0


@dataclass(slots=True, kw_only=True)
class Rig:
    """The parts of a run. `seed` and the number of `files` made so far give every file of bodies events of its own."""

    stack: Stack
    meter: Meter
    session: aiohttp.ClientSession
    stored: Stored
    folder: Path
    seed: int
    say: Callable[[str], None]
    env: Mapping[str, str] = field(default_factory=dict)  # of the gateways and stacks that a phase starts itself
    files: int = 0

    async def bodies(
        self, events: int, *, of: int, invalid: float = 0.0, repeated: float = 0.0, sign: Sign = unsigned
    ) -> Bodies:
        """New events in requests of so many."""
        return await self._written(events, of, invalid, repeated, single=False, sign=sign)

    async def singles(self, events: int) -> Bodies:
        """New events, each a body of its own."""
        return await self._written(events, 1_000, 0.0, 0.0, single=True)

    @asynccontextmanager
    async def on_empty_stack(self) -> AsyncIterator["Rig"]:
        """The same with a second stack, which has stored nothing yet; its data is gone afterwards.

        Raises CannotRun where it does not start.
        """
        folder = self.folder / "empty"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)  # of a run that was killed meanwhile
        folder.mkdir(mode=0o711)
        try:
            async with running_stack(
                session=self.session, env=self.env, data_dir=folder / "stack", say=self.say
            ) as stack:
                stored = Stored(self.session, stack.ops_urls.values())
                yield replace(self, stack=stack, meter=Meter(stack.processes), stored=stored, folder=folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @asynccontextmanager
    async def load(self, bodies: Bodies, url: str) -> AsyncIterator[LoadProcess]:
        """The load program with these bodies; their file is gone afterwards."""
        try:
            async with load_process(bodies, url) as process:
                await self.stored.reset()
                yield process
        finally:
            for path in (bodies.path, bodies.index_path):
                path.unlink(missing_ok=True)

    async def until_stored(
        self, sending: Coroutine[Any, Any, dict[str, Any]], events: int
    ) -> tuple[dict[str, Any], float]:
        """Sends, and waits until so many events are committed: what the load program said, and when that was.

        Raises CannotRun as soon as either can't be done.
        """
        tasks = (asyncio.create_task(sending), asyncio.create_task(self.stored.until(events)))
        try:
            result, stored_at = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return result, stored_at

    async def account(self, sent: Sequence[Body], answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """What was accepted against what the receipts say. Raises CannotRun where an event is missing or too many.

        Called when the clock has stopped.
        """
        ledger, errors = Ledger(), ErrorGroups()
        by_id = {body.correlation_id: body for body in sent}
        for answer in answers:
            name = answer["correlationId"]
            body = by_id[name]
            ledger.sending(name, events=body.events, invalid=body.invalid, repeated=body.repeated)
            ledger.answered(name, processed=answer["processed"], refused=answer["failed"])
        watch = ReceiptWatch(
            session=self.session,
            url=self.stack.url,
            ledger=ledger,
            errors=errors,
            progressed=lambda: None,
            clock=time.monotonic,
            sleep=asyncio.sleep,
        )
        settled = await watch.until_settled(_RECEIPTS_WAIT_S)
        totals = ledger.totals()
        account = {
            "sent": totals.sent,
            "accepted": totals.accepted,
            "refused": totals.refused,
            "stored": totals.stored,
            "duplicates": totals.duplicates,
            "deadLettered": totals.dead_lettered,
        }
        if not settled or totals.unaccounted or totals.refused != totals.invalid or totals.stored > totals.unique:
            first = [f"{kind.kind}: {kind.example}" for kind in errors.sorted()[:1]]
            raise CannotRun(
                f"the receipts do not add up, so nothing measured here counts: {account}, "
                f"{totals.missing} missing, {totals.surplus} too many {' '.join(first)}"
            )
        return account

    async def _written(
        self, events: int, of: int, invalid: float, repeated: float, *, single: bool, sign: Sign = unsigned
    ) -> Bodies:
        self.files += 1
        plan = Plan(
            total=events,
            batch=min(of, events),
            invalid_share=invalid,
            duplicates_share=repeated,
            seed=self.seed + self.files,
        )
        path = self.folder / f"bodies-{self.files}"
        return await asyncio.to_thread(made.write, path, plan, single=single, sign=sign)
