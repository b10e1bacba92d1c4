"""The generated pages say what the code does: they are what the code writes."""

from pathlib import Path

import pytest

from deploy import reference
from deploy.dashboards import catalog
from shared.metrics import CollectorMetrics, GatewayMetrics
from shared.settings import Settings


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    written = (reference.DOCS / name).read_text(encoding="utf-8")
    assert written == reference.PAGES[name](), f"docs/{name} is out of date: run `python -m deploy.reference`"


def test_every_settings_class_has_its_table() -> None:
    named = {section.settings for section in reference.SECTIONS}
    packages = {"gateway", "collectors", "shared", "streams", "loadtest", "deploy"}
    defined = {one for one in Settings.__subclasses__() if one.__module__.partition(".")[0] in packages}
    assert named == defined


def test_a_table_has_a_row_for_every_variable() -> None:
    page = reference.settings_page()
    for section in reference.SECTIONS:
        table = page.partition(f"## {section.title}\n")[2].partition("\n## ")[0]
        for field in section.settings.model_fields.values():
            assert table.count(f"\n| `{field.alias}` |") == 1


def test_every_metric_that_is_scraped_is_on_its_page() -> None:
    page = reference.metrics_page()
    for role in (GatewayMetrics(), CollectorMetrics()):
        for family in role.registry.collect():
            name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
            foreign = name.startswith(("process_", "python_"))
            assert foreign or f"\n| `{name}` |" in page, name


def test_the_pages_are_written_where_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    reference.main()
    boards = {f"{dashboard.name}.json" for dashboard in catalog.DASHBOARDS}
    assert {path.name for path in tmp_path.iterdir()} == {*reference.PAGES, *boards}
