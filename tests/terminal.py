"""A terminal of a few columns: a device for a program to write to, and what a person would see on it."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from types import TracebackType
from typing import Self

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile(r"\r\n|\r|\x1b\[2K")


class Terminal:
    """Use as a context. `device` is the program's side; a thread reads what comes."""

    def __init__(self, *, columns: int) -> None:
        self.columns = columns
        self._ours, self.device = pty.openpty()
        fcntl.ioctl(self.device, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.device)  # which ends the reader, once no program has it open either
        self._reader.join(10)
        os.close(self._ours)

    def screen(self) -> list[str]:
        """The lines, the one that the cursor is on last; as much as is written by now. Long ones wrap."""
        text = COLOUR.sub("", self._written.decode("utf-8", "ignore"))
        lines = [""]
        begin = 0
        for control in CONTROL.finditer(text):
            self._put(lines, text[begin : control.start()])
            begin = control.end()
            if control.group() == "\r\n":
                lines.append("")
            elif control.group() == "\x1b[2K":
                lines[-1] = ""
        self._put(lines, text[begin:])
        return lines

    def _put(self, lines: list[str], text: str) -> None:
        assert "\x1b" not in text, f"a control sequence that this terminal does not know: {text!r}"
        lines[-1] += text
        while len(lines[-1]) > self.columns:
            lines[-1:] = [lines[-1][: self.columns], lines[-1][self.columns :]]

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65_536)
            except OSError:  # nobody has the device open any more
                return
            self._written += piece
