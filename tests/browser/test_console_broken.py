"""What the page says when something is away: which, since when, and that it is back."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import NewPage
from tests.browser.stack import Stack

SINCE = r"since \d\d:\d\d:\d\d"


@pytest.fixture
def breakable(stack: Stack) -> Iterator[Stack]:
    """The stack, whole again after the test."""
    yield stack
    for server in (stack.nats, stack.postgres):
        if server._process is None:
            server.start()
    stack.wait_for("the gateway", stack.is_ready)
    stack.wait_for("both collectors", lambda: len(stack.heard()) == 2)


def _check(page: Page, name: str, state: str) -> None:
    expect(page.locator(f"#checks li[data-check={name}]")).to_have_attribute("data-state", state)


def test_nats_and_postgresql_that_die_are_named_with_the_time_and_come_back(
    new_page: NewPage, breakable: Stack
) -> None:
    page = new_page()
    breakable.nats.kill()
    expect(page.locator("#headline")).to_have_text(re.compile(rf"NATS is away.*{SINCE}"))
    _check(page, "nats", "down")
    _check(page, "collector-facebook", "unknown")
    breakable.nats.start()
    _check(page, "nats", "ok")

    breakable.postgres.kill()
    expect(page.locator("#headline")).to_have_text(re.compile(rf"PostgreSQL is away.*nothing is lost, {SINCE}"))
    _check(page, "postgres", "down")
    breakable.postgres.start()
    _check(page, "postgres", "ok")
    expect(page.locator("#headline")).to_have_text(re.compile("All is well|flowing"))


def test_a_gateway_that_is_gone_is_told_with_the_time_and_found_again(new_page: NewPage, stack: Stack) -> None:
    page = new_page(failures_expected=True)
    stack.stop("gateway")
    expect(page.locator("#headline")).to_have_text(re.compile(rf"No contact with the gateway {SINCE}"))
    expect(page).to_have_title(re.compile("No contact"))

    stack.run("gateway", "-m", "gateway")

    expect(page.locator("#contact")).to_have_text("Live")
    stack.wait_for("the gateway", stack.is_ready)
    expect(page.locator("#headline")).to_have_text(re.compile("All is well|flowing"))


def test_a_collector_that_stops_is_missed(new_page: NewPage, stack: Stack) -> None:
    page = new_page()
    stack.stop("tiktok")
    expect(page.locator("#headline")).to_have_text(re.compile(rf"Collectors of tiktok: none is running, {SINCE}"))

    stack.run("tiktok", "-m", "collectors", "--source", "tiktok")

    _check(page, "collector-tiktok", "ok")


def test_without_permission_the_page_asks_for_a_key_and_sends_it(new_page: NewPage, stack: Stack) -> None:
    sent: list[str] = []

    def ask_for_a_key(route: Route) -> None:
        key = route.request.headers.get("authorization", "")
        sent.append(key)
        if key == "Bearer the-right-key":
            route.continue_()
        else:
            route.fulfill(status=401, content_type="application/problem+json", body='{"detail": "A key is needed"}')

    page = new_page(live=False, failures_expected=True)
    page.route("**/console/stream", ask_for_a_key)
    page.route("**/console/dead-letters*", ask_for_a_key)
    page.goto(f"{stack.url}/#/dead-letters")
    expect(page.locator("#headline")).to_contain_text("This console asks for a key")
    expect(page.locator("#letters")).to_contain_text("This needs a key")

    page.get_by_role("button", name="Key", exact=True).click()
    page.locator("#key-input").fill("the-right-key")
    page.keyboard.press("Enter")

    expect(page.locator("#contact")).to_have_text("Live")
    expect(page.locator("#letters-bar")).to_contain_text("in all")
    assert page.evaluate("localStorage.getItem('floodgate-key')") is None
    assert sent[0] == ""


def test_a_key_that_may_not_read_is_told_so(new_page: NewPage, stack: Stack) -> None:
    page = new_page(live=False, failures_expected=True)
    page.route("**/console/stream", lambda route: route.fulfill(
        status=403, content_type="application/problem+json", body='{"detail": "It needs the scope read"}'))  # fmt: skip

    page.goto(stack.url)

    expect(page.locator("#headline")).to_have_text("This key may not read. It needs the scope read")
