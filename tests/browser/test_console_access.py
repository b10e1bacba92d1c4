"""The page for everybody: by keyboard alone, for a screen reader, in both themes, on a phone."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.stack import Stack, bulk

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_view_passes_the_accessibility_check_and_fits(
    new_page: NewPage, stack: Stack, scheme: str, size: dict[str, int]
) -> None:
    sent = stack.post(bulk(10))
    parked = stack.park(1, "Ys")
    stack.accept_all_cities()
    page = new_page(color_scheme=scheme, viewport=size)
    for view in ("flow", f"requests/{sent}", f"dead-letters?correlationId={parked}", "test"):
        page.goto(f"{stack.url}/#/{view}")
        if "dead-letters" in view:
            page.locator("#letters tbody a").click()
            page.wait_for_selector("#letter textarea")
        if "requests" in view:
            expect(page.locator("#receipt")).to_contain_text("Complete")
        _passes(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], view


def test_the_dialogs_pass_the_accessibility_check(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    _passes(page, "shortcuts")
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    expect(page.locator("#key-input")).to_be_focused()
    _passes(page, "key")


def test_the_page_can_be_walked_by_keyboard_alone(new_page: NewPage, stack: Stack) -> None:
    parked = stack.park(1, "Ys")
    stack.accept_all_cities()
    page = new_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for name in ("Floodgate", "Flow", "Requests", "Dead letters"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=re.compile(f"^{name}")).first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Dead letters", exact=True)).to_be_visible()
    page.get_by_label("Correlation id").last.focus()
    page.keyboard.type(parked)
    page.keyboard.press("Enter")
    expect(page.locator("#letters tbody tr")).to_have_count(1)
    _tab_to(page, "#letters tbody a")
    page.keyboard.press("Enter")
    page.wait_for_selector("#letter textarea")
    _tab_to(page, "#letter button.primary")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("was put through again")
    stack.settled(parked, stored=1)


def test_shortcuts_change_views_and_are_off_while_something_is_typed(page: Page) -> None:
    page.keyboard.press("4")
    expect(page.get_by_role("heading", name="Send a test event")).to_be_visible()
    page.get_by_label("Event, as JSON").press("2")
    expect(page.get_by_role("heading", name="Send a test event")).to_be_visible()
    page.get_by_role("button", name="Send it").focus()
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Requests")).to_be_visible()


def test_the_theme_is_chosen_by_hand_and_kept(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.keyboard.press("t")
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(background) != light

    page.reload()

    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()


def _passes(page: Page, what: str) -> None:
    found = Axe().run(page, options=RULES)
    assert not found.violations_count, f"{what}: {found.generate_report()}"


def _tab_to(page: Page, selector: str) -> None:
    """Press Tab until it has the focus; within as many as the page has stops, or it can't be reached."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement?.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} can't be reached by Tab")
