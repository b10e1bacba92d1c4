"""What the pages on security claim: each named test is there, and each limit has its row with its true default."""

import re
from pathlib import Path

import pytest

from gateway.settings import AccessSettings, GatewaySettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/security.md", "SECURITY.md")
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
LIMITS = re.compile(r"^(MAX_\w+|\w+_TIMEOUT|SHUTDOWN_GRACE|BACKLOG_CLOSE_AT|SIGNATURE_TOLERANCE|RATE_WINDOW)$")
NO_LIMITS_OF_SENDERS = {"DB_CONNECT_TIMEOUT", "DB_QUERY_TIMEOUT"}


def _rows(heading: str) -> list[list[str]]:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_is_there(page: str) -> None:
    named = NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(named) > 10
    for file, name in named:
        path = ROOT / "tests" / file
        assert path.is_file(), file
        assert re.search(rf"^(async )?def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{name}"


@pytest.mark.parametrize("heading", ["Attacks", "Limits"])
def test_every_row_says_what_happens_and_which_test_shows_it(heading: str) -> None:
    rows = _rows(heading)
    assert len(rows) > 15
    for row in rows:
        assert NAMED.search(row[-1]), row
        assert len(row[-2]) > 2, row


def test_every_limit_has_its_row_with_its_default() -> None:
    fields = [*GatewaySettings.model_fields.values(), *AccessSettings.model_fields.values()]
    defaults = {str(field.alias): str(field.default) for field in fields}
    limits = {name for name in defaults if LIMITS.match(name)} - NO_LIMITS_OF_SENDERS
    assert {row[0].strip("`"): row[1] for row in _rows("Limits")} == {name: defaults[name] for name in limits}
