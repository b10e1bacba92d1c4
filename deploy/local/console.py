"""Lines on the terminal, each under the name of the program that wrote it, and one below them that changes.

Writing never blocks the caller: a terminal that is paused (Ctrl-S, a pager) must not stop the supervisor
from reading its children's output, or their writes would block in turn. A thread writes; what it cannot get
rid of is dropped and counted. A terminal that is gone is no error either: the stack still has to be stopped
in order.
"""

import os
import queue
import sys
import threading
from typing import TextIO

WAITING_LINES = 10_000
NAME_WIDTH = 19
"""As wide as `collector facebook`, so that the common names line up."""
CLOSE_TIMEOUT_S = 1.0
COLOURS = (36, 35, 33, 32, 34, 96, 95, 93)  # ANSI foregrounds that read on dark and on light
BOLD = 1
RED = 31
OWN_NAME = "floodgate"
ERASE = "\r\x1b[2K"  # the line that the cursor is on, as long as it has not wrapped
DIM = 2


class _LastLine(str):
    """Text for the line below all others."""

    __slots__ = ()


class Console:
    """A bounded, line-wise writer to one text stream. Safe from any thread; only `close` blocks."""

    def __init__(self, *, out: TextIO | None = None, colour: bool | None = None, live: bool | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self.colour = self._out.isatty() if colour is None else colour
        self.live = self._out.isatty() if live is None else live
        """Whether there is a line below the others: only where somebody watches."""
        self._last_line = ""
        self._is_drawn = False
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING_LINES)
        self._dropped = 0
        self._colours: dict[str, int] = {}
        self._writer = threading.Thread(target=self._write_all, name="console", daemon=True)
        self._writer.start()

    def child(self, name: str, line: str) -> None:
        """One line of a child's output."""
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        self._put(f"{self._paint(name.ljust(NAME_WIDTH), colour)}| {line}")

    def say(self, line: str) -> None:
        """One line of the supervisor's own."""
        self._put(f"{self._paint(OWN_NAME.ljust(NAME_WIDTH), BOLD)}| {line}")

    def warn(self, line: str) -> None:
        """One line of the supervisor's own that somebody should see."""
        self._put(f"{self._paint(OWN_NAME.ljust(NAME_WIDTH), RED)}| {line}")

    def plain(self, text: str) -> None:
        """Text as it is, for the summary."""
        self._put(text)

    def last_line(self, text: str) -> None:
        """What stands below all lines from now on, cut to the terminal's width; "" for nothing. Needs `live`."""
        if self.live:
            self._put(_LastLine(text))

    def close(self) -> None:
        """Write what is waiting. Blocks up to `CLOSE_TIMEOUT_S`."""
        try:
            self._lines.put(None, timeout=CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._writer.join(CLOSE_TIMEOUT_S)

    def _put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _paint(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    self._write(f"({dropped} lines were dropped: the terminal did not take them in time)")
                if isinstance(line, _LastLine):
                    self._last_line = line
                else:
                    self._write(line)
                if self._lines.empty():
                    self._draw()
                    self._out.flush()
            except (OSError, ValueError):  # the terminal is gone, or the stream is closed: keep draining
                continue

    def _write(self, line: str) -> None:
        self._erase()
        self._out.write(line + "\n")

    def _draw(self) -> None:
        """Write the last line where the cursor is, below all others; the next line takes its place."""
        self._erase()
        if self._last_line:
            room = os.get_terminal_size(self._out.fileno()).columns - 1  # a full line would wrap, and stay
            self._out.write(self._paint(self._last_line[:room], DIM))
            self._is_drawn = True

    def _erase(self) -> None:
        if self._is_drawn:
            self._out.write(ERASE)
            self._is_drawn = False
