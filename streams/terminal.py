"""What a command line needs of a terminal: a progress bar, and a question.

Invariant: standard output holds results alone. The bar is drawn on standard error, and only where somebody
watches; a question that nobody can answer is not taken for answered.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from shared.errors import Fatal

Ask = Callable[[str], Awaitable[bool]]
Advance = Callable[[int], None]


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Advance]:
    """A bar for the length of the block; what it yields takes how many are done, in all."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
        transient=True,  # what came of it is said in words
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


async def ask(question: str) -> bool:
    """Whether somebody says yes. Raises Fatal where standard input is no terminal. The loop goes on meanwhile."""
    if not sys.stdin.isatty():
        raise Fatal(f"{question} There is nobody to ask: give --yes if you are sure")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not line.done():
            line.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin.fileno(), read)
    try:
        return (await line).strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(sys.stdin.fileno())
