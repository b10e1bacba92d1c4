"""The results as one page that needs nothing else: no script, no font, no other host.

Invariant: the page is made from the results' JSON alone, so an old result can be drawn again, and everything a chart
shows is in a table too.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from loadtest.bench.charts import Bar, Line, bars, lines
from loadtest.bench.families import NOT_COUNTED
from loadtest.bench.figures import CEILING_NAMES, Unit, shown
from loadtest.bench.numbers import per_million
from loadtest.bench.table import GROWTH_COLUMNS, growth_row, noise

STYLE: Final = """
:root{color-scheme:light dark;--ground:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d8dee4;
--bar-ours:#0b62c4;--bar-other:#9aa5b1;--bar-second:#c2571a;--good:#157347;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ground:#14181d;--ink:#e8ebee;--soft:#9aa5b1;--line:#343b44;
--bar-ours:#5aa5f5;--bar-other:#5f6b77;--bar-second:#e5894f;--good:#5fc48b;--bad:#f28b82}}
body{background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;
max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem}
p,li,caption{color:var(--soft)}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th:first-child,td:first-child,td.left,th.left{text-align:left}th{color:var(--soft);font-weight:600}
small{color:var(--soft)}.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}
figure{margin:1.4rem 0}figcaption{font-weight:600;margin-bottom:.3rem}svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}svg text.number{fill:var(--ink);font-weight:600}
svg .grid{stroke:var(--line)}
"""
_GOOD: Final = frozenset({"met", "ambition met"})


def page(results: Mapping[str, Any]) -> str:
    """The whole page. Pure."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Floodgate benchmark</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(part for part in _parts(results) if part)
        + "\n</body></html>\n"
    )


def _parts(results: Mapping[str, Any]) -> Iterator[str]:
    kind = "quick run, coarse figures" if results["quick"] else "full run"
    yield f"<h1>Floodgate benchmark</h1><p>{escape(results['startedAt'])}, {kind}</p>"
    yield _names("Machine", results["machine"])
    yield _names("Durability while measured", results["durability"])
    if line := noise(results):
        yield f'<p class="bad">{escape(line)}</p>'
    for phase, reason in results["failed"].items():
        yield f'<p class="bad">{escape(phase)} failed: {escape(reason)}</p>'
    yield _figures(results["figures"])
    yield _throughput(results)
    yield from _end_to_end(results.get("endToEnd"))
    yield _latencies(results)
    yield _ceilings(results.get("ceilings"))
    yield from _growth(results.get("growth"))


def _names(title: str, values: Mapping[str, str]) -> str:
    listed = " · ".join(f"{escape(name)} <b>{escape(value)}</b>" for name, value in values.items())
    return f"<p>{escape(title)}: {listed}</p>"


def _figures(rows: Sequence[Mapping[str, Any]]) -> str:
    lines_ = []
    for row in rows:
        unit = Unit(row["unit"])
        if row["value"] is None:  # a phase that failed is told above
            continue
        tone = "good" if row["verdict"] in _GOOD else "bad" if row["verdict"] == "missed" else ""
        ceiling = "" if row["ceiling"] is None else shown(row["ceiling"], unit)
        goals = ["" if row[goal] is None else shown(row[goal], unit) for goal in ("target", "ambition")]
        lines_.append(
            [
                escape(row["name"]),
                f"{shown(row['value'], unit)} <small>{escape(unit.value)}</small>",
                f"{ceiling} <small>{escape(row['ceilingName'])}</small>",
                "" if row["ratio"] is None else f"{row['ratio']:.2f}",
                *goals,
                f'<span class="{tone}">{escape(row["verdict"])}</span>',
            ]
        )
    head = ("figure", "value", "ceiling", "ratio", "target", "ambition", "")
    return "<h2>Figures</h2>" + table(head, lines_)


def _throughput(results: Mapping[str, Any]) -> str:
    rows = []
    for name, *path in (
        ("end to end, stored", "endToEnd", "eventsPerSecond"),
        ("accept, four at once", "accept", "together", "eventsPerSecond"),
        ("accept, one at a time", "accept", "one", "eventsPerSecond"),
    ):
        value: Any = results
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value:
            rows.append(Bar(name, value, f"{value:,.0f}", "ours"))
    for key in ("postgresLoader", "postgresStaged", "postgresCopy", "jetstream", "validate", "rows"):
        if found := results.get("ceilings", {}).get(key):
            value = found["eventsPerSecond"]
            rows.append(Bar(CEILING_NAMES[key].split(",")[0], value, f"{value:,.0f}"))
    return bars("Events per second: Floodgate, and each part of the way alone", rows)


def _end_to_end(phase: Mapping[str, Any] | None) -> Iterator[str]:
    if phase is None:
        return
    yield f"<h2>End to end: {phase['events']:,} events in {phase['seconds']:.2f} s</h2>"
    timeline = phase["timeline"]
    yield lines(
        "From the first byte sent",
        [
            Line(
                "accepted",
                [(x, y) for x, y in timeline["accepted"]][:: max(1, len(timeline["accepted"]) // 40)],
                "second",
            ),
            Line("stored", [(x, y) for x, y in timeline["stored"]], "ours"),
        ],
        x_name="seconds",
        y_name="events",
    )
    seconds, events = phase["cpu"]["seconds"], phase["cpu"]["events"]
    by_cost = sorted(seconds.items(), key=lambda item: -item[1])
    yield bars(
        "CPU seconds per million events, by process",
        [
            Bar(name, per_million(value, events), f"{per_million(value, events):.2f}", _tone(name))
            for name, value in by_cost
        ],
    )
    peaks = sorted(phase["peakRssBytes"].items(), key=lambda item: -item[1])
    yield bars(
        "Peak memory, MB (of PostgreSQL the largest process, shared buffers included)",
        [
            Bar(name, value / 1e6, f"{value / 1e6:,.0f}", _tone(name))
            for name, value in peaks
            if name not in NOT_COUNTED
        ],
    )
    account = ", ".join(f"{name} {count:,}" for name, count in phase["account"].items())
    yield f"<p>The receipts afterwards: {escape(account)}.</p>"


def _tone(process: str) -> str:
    return "other" if process in NOT_COUNTED else "ours"


def _latencies(results: Mapping[str, Any]) -> str:
    rows = []
    for name, *path in (
        ("accept, one request of 50,000", "accept", "one", "latency"),
        ("accept, four at once", "accept", "together", "latency"),
        ("/health/live with four requests of 50,000 under way", "responsiveness", "live"),
        ("/health/live at rest", "responsiveness", "atRest"),
        ("single events", "single", "latency"),
        ("freshness at 20,000 events/s: answer to committed row", "freshness", "latency"),
    ):
        found: Any = results
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        if found:
            rows.append(
                [escape(name), *(f"{found[key] * 1000:,.1f}" for key in ("p50", "p90", "p99", "p999", "worst"))]
            )
    if not rows:
        return ""
    return "<h2>Times, in milliseconds</h2>" + table(("what", "p50", "p90", "p99", "p99.9", "worst"), rows)


def _ceilings(ceilings: Mapping[str, Any] | None) -> str:
    if not ceilings:
        return ""
    rows = [
        [
            escape(CEILING_NAMES.get(key, key)),
            f"{found['eventsPerSecond']:,.0f}",
            f"{sum(found['cpu']['secondsPerMillion'].values()):.1f}",
        ]
        for key, found in ceilings.items()
    ]
    head = ("part, alone", "per second", "CPU s per million")
    return "<h2>Ceilings of this machine, in the same minutes</h2>" + table(head, rows)


def _growth(growth: Mapping[str, Any] | None) -> Iterator[str]:
    if not growth or not growth["steps"]:
        return
    steps = growth["steps"]
    yield f"<h2>Growth to {growth['rows']:,} rows</h2>"
    yield lines(
        "End-to-end rate while the tables grow",
        [Line("stored", [(step["rows"], step["eventsPerSecond"]) for step in steps], "ours")],
        x_name="rows in the tables",
        y_name="events per second",
    )
    yield table(GROWTH_COLUMNS, [growth_row(step) for step in steps])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are HTML, its head is text."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'
