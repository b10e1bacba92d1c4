"""/docs in a real browser: it is shown and works under its policy, and asks nothing of another host."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.stack import Stack


class Seen:
    """What the browser asked for, and what went wrong on the page."""

    def __init__(self, page: Page, origin: str) -> None:
        self.asked: set[str] = set()
        self.elsewhere: list[str] = []
        self.errors: list[str] = []
        self._origin = urlsplit(origin).netloc
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.netloc == self._origin:
            self.asked.add(parts.path)
        else:
            self.elsewhere.append(url)


@pytest.fixture
def blank(browser: Browser) -> Iterator[Page]:
    """An empty page."""
    page = browser.new_page()
    yield page
    page.close()


def test_it_shows_every_operation_and_asks_nothing_of_another_host(stack: Stack, blank: Page) -> None:
    seen = Seen(blank, stack.url)
    blank.goto(f"{stack.url}/docs")
    _, described = stack.get("/openapi.json")
    expect(blank.locator(".opblock")).to_have_count(sum(len(item) for item in described["paths"].values()))
    expect(blank.locator("#description h1")).to_contain_text("Floodgate")
    blank.locator("section.models h4 button").first.click()
    expect(blank.locator("section.models")).to_contain_text("BulkAnswer")
    files = {"/docs", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/start.js", "/openapi.json"}
    assert seen.asked == files
    assert (seen.elsewhere, seen.errors) == ([], [])


def test_it_sends_an_example_to_the_gateway_that_serves_it(stack: Stack, blank: Page) -> None:
    seen = Seen(blank, stack.url)
    blank.goto(f"{stack.url}/docs")
    operation = blank.locator("#operations-events-sendEvent")
    operation.locator(".opblock-summary").click()
    operation.locator(".try-out__btn").click()
    operation.locator(".execute").click()
    answer = operation.locator(".live-responses-table")
    expect(answer.locator(".response-col_status").last).to_contain_text("200")
    expect(answer).to_contain_text('"processed": 1')
    assert (seen.elsewhere, seen.errors) == ([], [])


def test_the_page_of_the_problems_opens_at_its_type(stack: Stack, blank: Page) -> None:
    seen = Seen(blank, stack.url)
    blank.goto(f"{stack.url}/docs/problems#not-json")
    expect(blank.locator("h2:target")).to_have_text("The body can't be read as events")
    assert (seen.elsewhere, seen.errors) == ([], [])


def test_the_policy_holds_where_the_page_would_go_elsewhere(stack: Stack, blank: Page) -> None:
    """Without this the others could pass because nothing was tried."""
    seen = Seen(blank, stack.url)
    blank.goto(f"{stack.url}/docs")
    assert blank.evaluate("fetch('http://127.0.0.1:1/').then(() => false, () => true)")
    assert any("Content Security Policy" in error for error in seen.errors)
