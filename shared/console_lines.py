"""A log entry as a line for people: time, level where it matters, what happened, and then the fields.

Invariant: an entry without an exception is one line, whatever is in it. The correlation id is last and whole: it is
long, and it is what one copies to ask for a receipt.
"""

from collections.abc import MutableMapping
from typing import Any, Final

EVENT_WIDTH: Final = 20
LEVELS: Final = {"debug": "debug", "info": "info ", "warning": "warn ", "error": "error", "critical": "fatal"}

_LAST: Final = "correlation_id"
_HIDDEN: Final = frozenset({"request_id", "body_bytes"})
"""In JSON for whoever joins or sums lines by them; on a console they only make lines longer."""

_BOLD, _DIM = "1", "2"
_COLOURS: Final = {"warning": "33", "error": "31", "critical": "31"}


class ConsoleLines:
    """The renderer of the `console` format, the last processor of structlog's chain."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: Any, _name: str, entry: MutableMapping[str, Any]) -> str:
        """The line; a traceback follows, indented, on lines of its own."""
        fields = dict(entry)
        time, level = fields.pop("timestamp", ""), fields.pop("level", "")
        event, traceback = str(fields.pop("event", "")), fields.pop("exception", None)
        colour = _COLOURS.get(level)
        shown = [name for name in fields if name not in _HIDDEN and name != _LAST]
        parts = [
            self._paint(time, _DIM),
            self._paint(LEVELS.get(level, level), colour or _DIM),
            self._paint(_one_line(event).ljust(EVENT_WIDTH), colour or _BOLD),
            *(f"{self._paint(f'{name}=', _DIM)}{_value(fields[name])}" for name in shown),
        ]
        if _LAST in fields:
            parts.append(self._paint(f"{_LAST}={_value(fields[_LAST])}", _DIM))
        line = " ".join(parts).rstrip()
        return line if traceback is None else f"{line}\n{_indented(str(traceback))}"

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and text else text


def _value(value: object) -> str:
    if isinstance(value, str):
        return value if value and value.isprintable() and not set(value) & set(" \"'=") else repr(value)
    return _one_line(str(value))


def _indented(traceback: str) -> str:
    """Its text may be a sender's in part: no line of it begins as an entry does, and none steers the terminal."""
    return "\n".join(f"  {_one_line(line)}" for line in traceback.splitlines())


def _one_line(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]
