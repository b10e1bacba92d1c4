"""A real Chromium and a whole system for it, once a session; a page a test, which must behave.

Without a Chromium these tests are skipped. `CHROMIUM` names one that is not found by itself.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.browser.stack import Stack

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WAIT_MS = 15_000
REACHED = "Failed to load resource"
"""What Chromium says of an answer that is an error, or of none: expected where a test breaks something."""

NewPage = Callable[..., Page]


def chromium() -> str | None:
    """Where one is; None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One that talks to nobody by itself."""
    found = chromium()
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium, or name one: CHROMIUM=/path/to/it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def stack(browser: Browser) -> Iterator[Stack]:
    """Asked for after the browser, so that nothing is started where there is none."""
    stack = Stack()
    try:
        yield stack.start()
    finally:
        stack.close()


@pytest.fixture
def new_page(browser: Browser, stack: Stack) -> Iterator[NewPage]:
    """Opens the console. After the test: no error of the page's, no request to another host.

    `failures_expected`: answers that are errors are what the test is about.
    """
    faults: list[str] = []
    contexts = []

    def watch(page: Page, *, failures_expected: bool) -> None:
        def said(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"} and not (failures_expected and REACHED in message.text):
                faults.append(f"{message.type}: {message.text}")

        def asked(request: Request) -> None:
            if urlsplit(request.url).netloc != urlsplit(stack.url).netloc:
                faults.append(f"request to {request.url}")

        page.on("console", said)
        page.on("pageerror", lambda error: faults.append(f"uncaught: {error}"))
        page.on("request", asked)

    def opener(view: str = "flow", *, failures_expected: bool = False, live: bool = True, **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]  # Playwright's own options, passed on
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        watch(page, failures_expected=failures_expected)
        if live:
            page.goto(f"{stack.url}/#/{view}")
            page.wait_for_selector("#contact[data-state=ok]")
            page.wait_for_selector("#checks li")
        return page

    yield opener
    for context in contexts:
        context.close()
    assert not faults, faults


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """The console, live."""
    return new_page()
