"""docs/tables.md says what a migrated database has, and what it says of erasing a person's data does that alone."""

import re
from time import monotonic

import pytest

from collectors.batch import Batch, decode
from collectors.rows import RowBuilder
from shared.events import REGISTRY
from tests.contract.pages import ROOT, Page
from tests.integration.collectors.rig import Rig
from tests.integration.collectors.stores import a_store
from tests.unit.collectors.samples import delivery_of, event

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
      AND c.relname <> 'alembic_version'
    ORDER BY c.relname, a.attnum
"""
KEYS = """
    SELECT conrelid::regclass::text, string_agg(attname, ', ' ORDER BY array_position(conkey, attnum))
    FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
    WHERE contype = 'u' AND conparentid = 0 AND connamespace = 'public'::regnamespace GROUP BY conrelid
"""
PATHS = {"demographics": ("name", "age", "gender", "country", "city", "followers")} | {
    "revenue": ("amount", "campaign_id", "ad_id", "item", "currency")
}
ERASED = "user-of-e-1"


def page(name: str) -> Page:
    path = ROOT / "docs" / name
    return Page(path, path.read_text(encoding="utf-8"))


def sections() -> dict[str, str]:
    """The page's text on each table."""
    _, *parts = re.split(r"^## (\w+)\n", page("tables.md").text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def cells(section: str) -> list[list[str]]:
    """The rows of its table, without the two of the header."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


def a_request_of(user: str, number: int) -> Batch:
    """Two events of a user, in a message of their own."""
    events = [event(f"{user}-{stage}", f"tiktok {stage}", user_id=user, amount="1.50") for stage in ("top", "bottom")]
    batch = Batch(max_events=1, max_bytes=1, max_age_s=1, clock=monotonic)
    sent = delivery_of(events, f"m-{number}", correlation_id=f"c-{number}", sequence=number)
    batch.add(decode(sent, RowBuilder(REGISTRY["tiktok"])))
    return batch


async def test_every_column_is_on_the_page_with_its_type_and_no_other_is(collecting: Rig) -> None:
    told = [
        (table, row[0].strip("`"), row[1], row[2] == "no") for table, text in sections().items() for row in cells(text)
    ]
    there = [
        (table, name, kind.replace("timestamp with time zone", "timestamptz"), is_set)
        for table, name, kind, is_set in await collecting.fetch(COLUMNS)
    ]
    assert sorted(told) == sorted(there)
    for table, text in sections().items():
        in_order = [name for one, name, *_ in there if one == table]
        assert [row[0].strip("`") for row in cells(text)] == in_order


async def test_every_unique_key_is_on_the_page(collecting: Rig) -> None:
    told = {
        table: re.sub(r"[`\s]+", " ", match[1]).strip().replace(" ,", ",")
        for table, text in sections().items()
        if (match := re.search(r"Unique: ((?:`\w+`(?:,\s)?)+)", text))
    }
    assert told == dict(await collecting.fetch(KEYS))


@pytest.mark.parametrize("table", PATHS)
def test_the_page_says_where_each_platform_has_a_column(table: str) -> None:
    rows = {row[0].strip("`"): row[3:] for row in cells(sections()[table])}
    for column in PATHS[table]:
        paths = [getattr(getattr(REGISTRY[source], table), column) for source in REGISTRY.sources]
        told = [None if cell == "–" else cell.split("`")[1] for cell in rows[column]]  # noqa: RUF001 - as the page has it
        assert told == paths, column


async def test_a_persons_data_is_erased_as_the_page_says_and_nobody_elses(collecting: Rig) -> None:
    async with a_store(collecting, "tiktok") as store:
        for number, user in enumerate((ERASED, "other"), start=1):
            await store.write(a_request_of(user, number))
    text = page("changes.md").text.partition("\n## Erase a person's data\n")[2]
    find, erase = (block.replace("USER-ID", ERASED) for block in Page(ROOT, text).blocks if "FROM events" in block)

    assert await collecting.fetch(find) == [("STREAM", 1)]
    for statement in filter(str.strip, erase.split(";")):
        await collecting.fetch(statement)
    for table, left in (("events", 2), ("revenue", 1), ("demographics", 1)):
        assert await collecting.fetch(f"SELECT user_id FROM {table}") == [("other",)] * left
    assert len(await collecting.fetch("SELECT FROM batches")) == 2
