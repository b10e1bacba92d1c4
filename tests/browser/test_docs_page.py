"""/docs in a real browser: it is shown and works under its policy, and asks nothing of another host."""

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Route, expect

from shared.events.facebook import Top
from tests.integration.gateway.conftest import Running, Start, start

__all__ = ["start"]  # a fixture of the gateway's tests


class Seen:
    """What the browser asked for, and what went wrong on the page."""

    def __init__(self, page: Page, origin: str) -> None:
        self.asked: list[str] = []
        self.elsewhere: list[str] = []
        self.errors: list[str] = []
        self._origin = origin
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    async def let_through(self, route: Route) -> None:
        """Only to the gateway."""
        parts = urlsplit(route.request.url)
        if f"{parts.scheme}://{parts.netloc}" == self._origin:
            self.asked.append(parts.path)
            await route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            await route.abort()


@pytest.fixture
async def gateway(start: Start) -> Running:
    """A gateway with usual settings."""
    return await start()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty one."""
    page = await browser.new_page()
    yield page
    await page.close()


async def test_it_shows_every_operation_and_asks_nothing_of_another_host(gateway: Running, page: Page) -> None:
    seen = Seen(page, gateway.url)
    await page.route("**/*", seen.let_through)
    await page.goto(f"{gateway.url}/docs")
    described = json.loads((await gateway.request("GET", "/openapi.json", headers={"Accept-Encoding": ""})).body)
    count = sum(len(item) for item in described["paths"].values())
    await expect(page.locator(".opblock")).to_have_count(count)
    await expect(page.locator("#description h1")).to_contain_text("Floodgate")
    await page.locator("section.models h4 button").first.click()
    await expect(page.locator("section.models")).to_contain_text("BulkAnswer")
    assert {"/docs", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/start.js", "/openapi.json"} == set(
        seen.asked
    )
    assert (seen.elsewhere, seen.errors) == ([], [])


async def test_it_sends_an_example_to_the_gateway_that_serves_it(gateway: Running, page: Page) -> None:
    seen = Seen(page, gateway.url)
    await page.route("**/*", seen.let_through)
    await page.goto(f"{gateway.url}/docs")
    operation = page.locator("#operations-events-sendEvent")
    await operation.locator(".opblock-summary").click()
    await operation.locator(".try-out__btn").click()
    await operation.locator(".execute").click()
    answer = operation.locator(".live-responses-table")
    await expect(answer.locator(".response-col_status").last).to_contain_text("200")
    await expect(answer).to_contain_text('"processed": 1')
    (sent,) = Top.model_json_schema()["examples"]
    assert await gateway.stored_ids("facebook") == [sent["eventId"]]
    assert (seen.elsewhere, seen.errors) == ([], [])


async def test_the_page_of_the_problems_opens_at_its_type(gateway: Running, page: Page) -> None:
    seen = Seen(page, gateway.url)
    await page.route("**/*", seen.let_through)
    refused = (await gateway.post(b"{", path="/webhook/events")).json
    await page.goto(gateway.url + refused["type"])
    await expect(page.locator("h2:target")).to_have_text(refused["title"])
    assert (seen.elsewhere, seen.errors) == ([], [])


async def test_the_policy_holds_where_the_page_would_go_elsewhere(gateway: Running, page: Page) -> None:
    """Without this the others could pass because nothing was tried."""
    seen = Seen(page, gateway.url)
    await page.goto(f"{gateway.url}/docs")
    blocked = await page.evaluate("fetch('http://127.0.0.1:1/').then(() => false, () => true)")
    assert blocked
    assert any("Content Security Policy" in error for error in seen.errors)
