"""Every link between pages leads somewhere, and every page can be found from the index."""

import re

import pytest

from tests.contract.pages import ROOT, Page, pages

PAGES = list(pages())
ELSEWHERE = re.compile(r"[a-z]+:")
LONGEST_LINES = 400


def broken(page: Page) -> list[str]:
    """Its links that lead nowhere."""
    return [link for link in page.links if not ELSEWHERE.match(link) and not leads_somewhere(page, link)]


def leads_somewhere(page: Page, link: str) -> bool:
    """Whether it is a file of the project, and a heading in it where one is named."""
    name, _, anchor = link.partition("#")
    target = page
    if name:
        path = (page.path.parent / name).resolve()
        if not path.exists() or not path.is_relative_to(ROOT):
            return False
        target = Page(path, path.read_text(encoding="utf-8") if anchor else "")
    return not anchor or anchor in target.anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Page) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = (
        "# A `b`: c\n## A\n## A\n[x](#a-b-c) [x](#a-1) [x](#a-2)\n[x](settings.md) [x](none.md) [x](settings.md#no)\n"
    )
    assert broken(Page(ROOT / "docs" / "new.md", text)) == ["#a-2", "none.md", "settings.md#no"]


def test_the_index_leads_to_every_page() -> None:
    index = next(page for page in PAGES if page.name == "docs/README.md")
    listed = {(index.path.parent / link.partition("#")[0]).resolve() for link in index.links}
    assert [page.name for page in PAGES if page.path not in listed and page is not index] == ["README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_can_be_read_in_one_go(page: Page) -> None:
    assert page.text.count("\n") <= LONGEST_LINES, "split it"
