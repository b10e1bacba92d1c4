"""Children kept alive until somebody asks for the end, and then stopped in the order that loses nothing.

Knows nothing of this product. After `stop` there is no process left that it has started.

One request to stop ends everything in order, with each child's grace; a second one cuts the graces short.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from deploy.local.child import Child, ChildSpec, RestartPolicy, ending
from deploy.local.console import Console
from deploy.local.errors import StackError

T = TypeVar("T")


class StopRequestedError(Exception):
    """Somebody asked for the end while something was awaited: not a failure."""


class Supervisor:
    """Starts, watches and stops children. Everything happens in one event loop."""

    def __init__(
        self,
        *,
        console: Console,
        policy: RestartPolicy | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._console = console
        self._policy = policy or RestartPolicy()
        self._on_change = on_change
        self._stop_requested = asyncio.Event()
        self._hurry = asyncio.Event()
        self._children: dict[Child, asyncio.Task[None]] = {}
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def request_stop(self, reason: str) -> None:
        """Ask for the end; asked again, for a quick one. Safe as a signal's callback."""
        if not self._stop_requested.is_set():
            self._console.say(f"{reason}: stopping everything in order")
            self._stop_requested.set()
        elif not self._hurry.is_set():
            self._console.warn(f"{reason} again: not waiting any longer")
            self._hurry.set()

    def start(self, spec: ChildSpec) -> Child:
        """Start a child and keep it alive. Does not block; `wait_ready` waits for it."""
        child = Child(
            spec=spec,
            policy=self._policy,
            console=self._console,
            on_change=self._on_change,
            hurry=self._hurry,
        )
        task = asyncio.create_task(child.run(), name=f"child {spec.name}")
        self._children[child] = task
        task.add_done_callback(self._note_failure)
        return child

    async def wait_ready(self, children: Iterable[Child], *, within_s: float) -> None:
        """Wait until each of them has been ready once. Raises `StackError` that names the late ones."""
        children = list(children)
        try:
            async with asyncio.timeout(within_s):
                await asyncio.gather(*(child.first_ready.wait() for child in children))
        except TimeoutError:
            late = [child for child in children if not child.first_ready.is_set()]
            said = "; ".join(
                f"{child.spec.name} last said: {child.tail[-1] if child.tail else 'nothing'}" for child in late
            )
            raise StackError(f"not ready within {within_s:.0f} s: {said}") from None

    async def run_to_end(self, *specs: ChildSpec) -> None:
        """Run programs to their ends, at the same time.

        Raises `StackError` with the last line of the first that does not end with exit code 0. Then, and when
        cancelled, the others are killed before this returns.
        """
        tasks = [asyncio.create_task(self._run_once(spec), name=f"once {spec.name}") for spec in specs]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled when somebody asks for the end or a child gives up.

        Raises `StopRequestedError` for the first, the child's `StackError` for the second.
        """
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop_requested.wait())
        try:
            await asyncio.wait({task, stop, self._failure}, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                self._failure.result()
            if stop.done():
                raise StopRequestedError
            return task.result()
        finally:
            for pending in (task, stop):
                pending.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def watch(self) -> None:
        """Wait for the end. Raises `StopRequestedError`, or the `StackError` of a child that gave up."""
        await self.unless_stopped(_for_ever())

    async def stop(self, groups: Iterable[Iterable[Child]]) -> None:
        """Stop the groups one after the other, the children of a group together, then any child not named."""
        for group in (*groups, tuple(self._children)):
            await asyncio.gather(*(child.stop() for child in group if not self._children[child].done()))
        await asyncio.gather(*self._children.values(), return_exceptions=True)
        if not self._failure.done():
            self._failure.cancel()
        with contextlib.suppress(asyncio.CancelledError, StackError):
            self._failure.result()  # seen by now, or no longer of interest

    async def _run_once(self, spec: ChildSpec) -> None:
        once = Child(spec=spec, policy=self._policy, console=self._console, on_change=lambda: None, hurry=self._hurry)
        code = await once.run_to_end()
        if code != 0:
            said = once.tail[-1] if once.tail else "nothing"
            raise StackError(f"{spec.name} ended {ending(code)} and said: {said}")

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._failure.done():
            self._failure.set_exception(error)


async def _for_ever() -> None:
    await asyncio.Event().wait()
