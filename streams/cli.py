"""The command line of `python -m streams`.

Invariant: what comes out is checked; what is wrong ends in one line that names the option, its value and what
it takes (exit 2).
"""

import argparse
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from shared.events import REGISTRY
from shared.outcomes import DeadLetterReason

_AGO: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|min|m|h|d|w)(?: ago)?", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOMENT: Final = "ISO 8601 (2026-01-25T17:31:13Z; without an offset it is UTC), or so long ago: 90s, 30m, 2h, 1d"

_EPILOG: Final = """\
examples:
  python -m streams keys deploy/nats/keys
  python -m streams dead-letters list --since 1d
  python -m streams dead-letters replay --reason data_error --dry-run
  python -m streams dead-letters export broken.ndjson --source facebook
  python -m streams replay --source facebook --since 2026-01-25T08:00:00Z --until 2026-01-25T09:30:00Z
"""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        """Print the line to stderr and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (--help shows every option)\n")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, checked: `command`, and the options of each as below. Exits 2 where it is wrong."""
    parser = OneLineParser(
        prog="streams",
        description="The JetStream streams of Floodgate: what they are, what lies in them, putting it through again.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    apply = _add(commands, "apply", "create what is missing, update what is safe, refuse what loses data")
    apply.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    show = _add(commands, "status", "messages, bytes and backlog of each stream")
    show.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    rights = _add(
        commands, "rights", "print who may do what, as nats-server's configuration has it (deploy/nats/rights.conf)"
    )
    rights.add_argument(
        "--next", action="store_true", help="each program by either of two keys, while they are changed"
    )
    keys = _add(
        commands,
        "keys",
        "make a key for each program, and keys.conf with the public halves for nats-server",
        "Each <program>.seed is for that program's NATS_NKEY_SEED_FILE. A seed that is there is kept.",
    )
    keys.add_argument("folder", type=Path, metavar="FOLDER", help="where to, made if it is missing")
    keys.add_argument("--next", action="store_true", help="a second one for each, <program>.next.seed, to change to")
    _add_replay(commands)
    _add_dead_letters(commands)
    parsed = parser.parse_args(arguments)
    since, until = getattr(parsed, "since", None), getattr(parsed, "until", None)
    if since is not None and until is not None and since >= until:
        parser.error(f"--since {since.isoformat()} is not before --until {until.isoformat()}")
    return parsed


def moment(text: str) -> datetime:
    """A point in time, in UTC: ISO 8601, or how long ago. Raises argparse.ArgumentTypeError."""
    now = datetime.now(UTC)
    try:
        if (ago := _AGO.fullmatch(text.strip())) is not None:
            return now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
        given = datetime.fromisoformat(text.strip())
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r}: takes {_MOMENT}") from None


def _add_replay(commands: "argparse._SubParsersAction[OneLineParser]") -> None:
    replay = _add(
        commands,
        "replay",
        "put a time range of a source's stream through its collectors again",
        "For rows that were lost: a table, or a database from an older backup. What is stored stays as it is. Runs "
        "beside the collectors, at their pace; stopped, it can be started again.",
    )
    replay.add_argument("--source", required=True, choices=REGISTRY.sources, help="whose stream")
    replay.add_argument("--since", required=True, type=moment, metavar="TIME", help=f"stored then or later: {_MOMENT}")
    replay.add_argument("--until", type=moment, metavar="TIME", help="stored before then (default: now)")
    replay.add_argument("--dry-run", action="store_true", help="say what would be replayed, and publish nothing")
    replay.add_argument("--yes", action="store_true", help="do not ask")


def _add_dead_letters(commands: "argparse._SubParsersAction[OneLineParser]") -> None:
    letters = _add(
        commands, "dead-letters", "events that could not be stored: look at them, put them through, drop them"
    )
    actions = letters.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = _add(actions, "list", "a line each, and how many for which reason")
    _add_filters(listing)
    listing.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    show = _add(actions, "show", "all that is known of one, and its body")
    show.add_argument("seq", type=_count, metavar="SEQ", help="its number in the list")
    export = _add(actions, "export", "to a file, one JSON object a line, bodies included")
    export.add_argument("file", metavar="FILE", help="a new file, or - for standard output")
    _add_filters(export)
    replay = _add(
        actions,
        "replay",
        "validate them again and publish them to their source's stream; what is published is removed here",
        "Running it twice, or again after it was stopped, doubles nothing. What is still invalid stays, and is told.",
    )
    _add_filters(replay)
    replay.add_argument("--dry-run", action="store_true", help="validate only: publish and remove nothing")
    drop = _add(actions, "drop", "remove them for good, after asking")
    _add_filters(drop)
    drop.add_argument("--dry-run", action="store_true", help="show what would be removed, and remove nothing")
    drop.add_argument("--yes", action="store_true", help="do not ask")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    filters = parser.add_argument_group("which (all of them, if nothing is said)")
    filters.add_argument("--source", choices=REGISTRY.sources, help="of this source")
    filters.add_argument("--reason", choices=[reason.value for reason in DeadLetterReason], help="for this reason")
    filters.add_argument("--correlation-id", metavar="ID", help="of the requests with this correlation id")
    filters.add_argument("--seq", type=_count, metavar="SEQ", help="this one, by its number in the list")
    filters.add_argument("--since", type=moment, metavar="TIME", help=f"parked then or later: {_MOMENT}")
    filters.add_argument("--until", type=moment, metavar="TIME", help="parked before then")
    filters.add_argument("--limit", type=_count, metavar="N", help="the oldest N of these")


def _add(
    commands: "argparse._SubParsersAction[OneLineParser]", name: str, summary: str, more: str = ""
) -> OneLineParser:
    description = f"{summary[0].upper()}{summary[1:]}. {more}".strip()
    return commands.add_parser(name, help=summary, description=description, allow_abbrev=False)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: takes a whole number of 1 or more")
    return int(text)
