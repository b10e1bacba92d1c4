"""The command line of the bulk test.

Invariant: what comes out is a checked `BulkTestOptions`; what is wrong ends in one line that names the option,
its value and what it takes (argparse, exit 2).
"""

import argparse
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from loadtest.generator import Plan
from loadtest.options import DEFAULT_URL, BulkTestOptions, Targets
from loadtest.platforms import PLATFORMS

NAME: Final = "bulk-test"
SUMMARY: Final = "send a flood of events, then check that every accepted one is stored"
_DEFAULT_RETRIES: Final = 5
_EPILOG: Final = """\
exit code:
  0  every target met: more than --min-success of the valid events accepted, at more than --min-rate
     events a second, and every accepted event stored, a duplicate, or a dead letter
  1  a target was missed; the last lines say which, and by how much
  2  it could not run: a wrong option, or a service that is not ready
  130  stopped by Ctrl-C; the summary so far is printed

examples:
  python -m loadtest                                    50,000 events, 50 requests of 1,000
  python -m loadtest --single-request                   one request of 50,000
  python -m loadtest --invalid 0.01 --duplicates 0.05   as real senders are
  python -m loadtest --total 1000000 --batch 5000 --concurrency 8 --json
"""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        """Prints the line to stderr and exits with 2."""
        self.exit(2, f"{self.prog}: {message} (--help shows every option)\n")


def add_bulk_test(
    subcommands: "argparse._SubParsersAction[OneLineParser]", url: str | None, api_key: str | None
) -> None:
    """Adds the command; `url` and `api_key` are the defaults, from the environment."""
    parser = subcommands.add_parser(
        NAME,
        help=SUMMARY,
        description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    where = parser.add_argument_group("where")
    where.add_argument(
        "--url",
        type=_base_url,
        default=url or DEFAULT_URL,
        help=f"base address of the gateway (default: $URL, else {DEFAULT_URL})",
    )
    where.add_argument(
        "--health",
        type=_base_url,
        action="append",
        default=[],
        metavar="URL",
        help="one more service that must be ready before the start, e.g. a collector's ops address; repeatable",
    )
    where.add_argument(
        "--start-stack",
        action="store_true",
        help="when nothing listens at a local --url, start a throw-away stack for this run",
    )
    where.add_argument(
        "--api-key",
        type=_api_key,
        default=api_key,  # argparse checks a default that is a string, too
        metavar="KEY",
        help="of a sender there with the scopes ingest and read (default: $API_KEY, which no list of processes shows)",
    )
    what = parser.add_argument_group("what to send")
    what.add_argument("--total", type=_count, default=50_000, help="events (default: 50000)")
    what.add_argument("--batch", type=_count, default=1000, help="events a request (default: 1000)")
    what.add_argument(
        "--single-request", action="store_true", help="one request with all events; --batch is how it is streamed"
    )
    what.add_argument("--invalid", type=_share, default=0.0, metavar="SHARE", help="share of invalid events, 0 to 1")
    what.add_argument(
        "--duplicates", type=_share, default=0.0, metavar="SHARE", help="share that repeats earlier events, 0 to 1"
    )
    what.add_argument(
        "--sources",
        type=_sources,
        default=tuple(PLATFORMS),
        help=f"platforms, separated by commas (default: {','.join(PLATFORMS)})",
    )
    what.add_argument("--seed", type=int, help="the same events again (default: a new one, shown in the summary)")
    how = parser.add_argument_group("how")
    how.add_argument("--concurrency", type=_count, default=4, help="requests at a time (default: 4)")
    how.add_argument("--timeout", type=_seconds, default=120.0, metavar="S", help="a request may take (default: 120 s)")
    how.add_argument(
        "--retry",
        type=_retries,
        nargs="?",
        const=_DEFAULT_RETRIES,
        default=0,
        metavar="TIMES",
        help="send again after 429 or 503 with Retry-After, as a good sender does "
        f"(default: never; without a number: {_DEFAULT_RETRIES})",
    )
    how.add_argument(
        "--wait",
        type=_wait,
        default=120.0,
        metavar="S",
        help="how long storage may take after the last answer (default: 120 s)",
    )
    goals = parser.add_argument_group("targets and output")
    goals.add_argument(
        "--min-success", type=_share, default=0.95, metavar="SHARE", help="accepted of valid events (default: 0.95)"
    )
    goals.add_argument(
        "--min-rate", type=_wait, default=1000.0, metavar="N", help="accepted events a second (default: 1000)"
    )
    goals.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    goals.add_argument(
        "--report",
        type=_page,
        metavar="FILE.html",
        help="write a page with charts of throughput, answer times and backlog; asks for receipts while it sends",
    )


def bulk_test_options(args: argparse.Namespace) -> BulkTestOptions:
    """The parsed arguments, checked against each other. Raises ValueError, for a person."""
    return BulkTestOptions(
        plan=Plan(
            total=args.total,
            batch=args.batch,
            invalid_share=args.invalid,
            duplicates_share=args.duplicates,
            sources=args.sources,
            seed=random.SystemRandom().getrandbits(31) if args.seed is None else args.seed,
        ),
        url=args.url,
        health_urls=tuple(args.health),
        single_request=args.single_request,
        concurrency=args.concurrency,
        timeout_s=args.timeout,
        wait_s=args.wait,
        retries=args.retry,
        targets=Targets(min_success_share=args.min_success, min_rate_per_s=args.min_rate),
        json=args.json,
        start_stack=args.start_stack,
        report=args.report,
        api_key=args.api_key,
    )


def url_from(env: Mapping[str, str]) -> str | None:
    """The address in the environment, as `make bulk-test` hands it over; an empty one is none."""
    return env.get("URL") or None


def _api_key(text: str) -> str:
    # No part of it is shown: what is wrong may be the rest of a key.
    if not text.isascii() or not text.isprintable() or not text or " " in text:
        raise argparse.ArgumentTypeError("takes a key of visible ASCII characters")
    return text


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise argparse.ArgumentTypeError(f"{text!r}: takes an address like {DEFAULT_URL}")
    return text.rstrip("/")


def _page(text: str) -> Path:
    # Looked at before the run, which would otherwise be for nothing.
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: takes a file in a folder that is there")
    return path


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: takes a whole number from 1")
    return int(text)


def _retries(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: takes a whole number from 0")
    return int(text)


def _share(text: str) -> float:
    return _number(text, "a number from 0 to 1", least=0.0, most=1.0)


def _seconds(text: str) -> float:
    value = _wait(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: takes a number over 0")
    return value


def _wait(text: str) -> float:
    return _number(text, "a number from 0", least=0.0, most=math.inf)


def _number(text: str, takes: str, *, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (least <= value <= most) or math.isinf(value):
        raise argparse.ArgumentTypeError(f"{text!r}: takes {takes}")
    return value


def _sources(text: str) -> tuple[str, ...]:
    sources = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not sources or any(source not in PLATFORMS for source in sources):
        raise argparse.ArgumentTypeError(f"{text!r}: takes one or more of {', '.join(PLATFORMS)}")
    return sources
