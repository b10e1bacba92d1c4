"""The console in a real browser: figures that move, requests and their receipts, a test event."""

import json
import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.stack import Stack, bulk


def test_rates_move_during_a_bulk(page: Page, stack: Stack) -> None:
    accepted = page.locator(".tile", has_text="Accepted").locator(".value")
    expect(accepted).to_have_text("0")

    stack.settled(stack.post(bulk(3_000)))

    expect(accepted).not_to_have_text("0")
    expect(page.locator("#headline")).to_have_text("Events are flowing")
    expect(
        page.get_by_role("img", name=re.compile(r"Stored, last ten minutes\. facebook: now .*highest [1-9]"))
    ).to_be_visible()
    expect(page.get_by_role("table", name="Gateways and collectors")).to_contain_text("collector tiktok")


def test_a_new_page_has_the_history_at_once(new_page: NewPage, stack: Stack) -> None:
    stack.settled(stack.post(bulk(500)))
    new_page()  # by now the second is over, and in the history of the next page

    chart = new_page().get_by_role("img", name=re.compile("Accepted, last ten minutes"))

    expect(chart).to_have_attribute("aria-label", re.compile("highest [1-9]"))


def test_one_click_leads_from_a_request_to_what_became_of_its_events(new_page: NewPage, stack: Stack) -> None:
    page = new_page("requests")
    sent = stack.post(bulk(40))

    page.get_by_role("link", name=sent).click()

    receipt = page.locator("#receipt")
    expect(receipt).to_contain_text("Complete: every accepted event has its outcome")
    expect(receipt.get_by_role("row", name=re.compile("^all"))).to_contain_text("40")


def test_a_correlation_id_is_found_by_its_name(new_page: NewPage, stack: Stack) -> None:
    sent = stack.post(bulk(2))
    page = new_page()

    page.keyboard.press("/")
    expect(page.get_by_label("Correlation id").first).to_be_focused()
    page.keyboard.type(sent)
    page.keyboard.press("Enter")

    expect(page.locator("#receipt")).to_contain_text("Complete")


def test_an_unknown_correlation_id_is_told_as_such(new_page: NewPage) -> None:
    page = new_page("requests/nobody-sent-this", failures_expected=True)

    expect(page.locator("#receipt")).to_contain_text("Nothing is known of this correlation id")


def test_a_test_event_is_followed_to_its_row(new_page: NewPage, stack: Stack) -> None:
    page = new_page("test")
    page.get_by_label("Example").select_option(index=2)
    text = page.get_by_label("Event, as JSON")
    expect(text).to_have_value(re.compile("tiktok-test-"))
    event_id = json.loads(text.input_value())["eventId"]

    page.get_by_role("button", name="Send it").click()

    expect(page.locator("#way")).to_contain_text(re.compile(r"Durable after [\d.]+ ms.*Stored after [\d.]+ m?s"))
    assert stack.execute(f"SELECT 1 FROM events WHERE source = 'tiktok' AND event_id = '{event_id}'")


def test_an_invalid_test_event_is_refused_with_its_reason(new_page: NewPage) -> None:
    page = new_page("test", failures_expected=True)
    page.get_by_label("Event, as JSON").fill('{"eventId": "x"}')

    page.get_by_role("button", name="Send it").click()

    expect(page.locator("#way")).to_contain_text("Refused (422)")
