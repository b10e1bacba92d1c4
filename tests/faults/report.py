"""The table of a run, as text and as JSON, and its place in docs/reliability.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.faults.phase import Result

BEGIN: Final = "<!-- fault-table: written by `make test-faults`, changes here are lost -->"
END: Final = "<!-- /fault-table -->"
COLUMNS: Final = (
    "fault", "injected", "requests sent", "events acknowledged", "stored", "duplicates absorbed", "dead letters",
    "lost", "doubled", "longest outage, s", "time to recover, s",
)  # fmt: skip


def table(results: Sequence[Result]) -> str:
    """A line a fault and one of sums, as a Markdown table; outage and recovery are the slowest of each line."""
    rows = [COLUMNS, *(_cells(result) for result in results), _sums(results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(rows[0]), f"| {' | '.join(rule)} |", *map(line, rows[1:])])


def as_object(results: Sequence[Result], *, seed: int, form: str, seconds: float) -> dict[str, Any]:
    """The same for machines; times in seconds."""
    return {
        "seed": seed,
        "form": form,
        "seconds": round(seconds, 1),
        "injected": sum(result.injected for result in results),
        "lost": sum(result.lost for result in results),
        "doubled": sum(result.doubled for result in results),
        "faults": [
            {
                "fault": result.fault,
                "world": result.world,
                "injected": result.injected,
                "requests": result.requests,
                "requestsSent": result.attempts,
                "acknowledged": result.acknowledged,
                "stored": result.stored,
                "duplicates": result.duplicates,
                "deadLetters": result.dead_letters,
                "lost": result.lost,
                "doubled": result.doubled,
                "alien": result.alien,
                "longestOutageSeconds": round(result.longest_outage_s, 2),
                "recoverySeconds": [round(seconds, 2) for seconds in result.recoveries_s],
                "answers": result.answers,
                "trouble": result.trouble,
            }
            for result in results
        ],
    }


def write_into(page: Path, text: str) -> None:
    """Put the text between the page's markers. Raises ValueError where it has none."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN!r} with {END!r} after it")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _cells(result: Result) -> tuple[str, ...]:
    return (
        result.fault,
        str(result.injected),
        f"{result.attempts:,}",
        f"{result.acknowledged:,}",
        f"{result.stored:,}",
        f"{result.duplicates:,}",
        f"{result.dead_letters:,}",
        str(result.lost),
        str(result.doubled),
        f"{result.longest_outage_s:.1f}",
        f"{result.recovery_s:.1f}",
    )


def _sums(results: Sequence[Result]) -> tuple[str, ...]:
    whole = Result(
        fault="all",
        world="",
        **{
            name: sum(getattr(result, name) for result in results)
            for name in (
                "injected",
                "attempts",
                "acknowledged",
                "stored",
                "duplicates",
                "dead_letters",
                "lost",
                "doubled",
            )
        },
        longest_outage_s=max((result.longest_outage_s for result in results), default=0.0),
        recoveries_s=[result.recovery_s for result in results],
    )
    return _cells(whole)
