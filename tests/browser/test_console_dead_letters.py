"""Dead letters in a real browser: looked at, edited, replayed, dropped."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewPage
from tests.browser.stack import Stack

CITY = "Atlantis"


@pytest.fixture(autouse=True)
def _mended(stack: Stack) -> Iterator[None]:
    yield
    stack.accept_all_cities()


def _of(correlation_id: str) -> str:
    return f"dead-letters?correlationId={correlation_id}"


def test_an_event_is_edited_beside_its_error_and_replayed_into_the_table(new_page: NewPage, stack: Stack) -> None:
    parked = stack.park(1, CITY)
    page = new_page(_of(parked))
    page.locator("#letters tbody a").click()
    expect(page.locator("#letter .error")).to_contain_text("city_is_known")

    text = page.get_by_label(re.compile("^Event, as it was sent"))
    text.fill(text.input_value().replace(CITY, "Lisbon"))
    page.get_by_role("button", name="Replay as edited").click()

    expect(page.locator("#notice")).to_contain_text("was put through again")
    expect(page.locator("#letters")).to_contain_text("No dead letter")
    stack.settled(parked, stored=1)
    stored = stack.execute(f"SELECT data->'user'->'location'->>'city' FROM events WHERE correlation_id = '{parked}'")
    assert [row[0] for row in stored] == ["Lisbon"]


def test_an_edit_that_is_still_invalid_keeps_the_letter_and_says_why(new_page: NewPage, stack: Stack) -> None:
    parked = stack.park(1, CITY)
    page = new_page(_of(parked), failures_expected=True)
    page.locator("#letters tbody a").click()

    text = page.get_by_label(re.compile("^Event, as it was sent"))
    text.fill(text.input_value().replace('"age": 42', '"age": "42"'))
    page.get_by_role("button", name="Replay as edited").click()

    expect(page.locator("#letter").get_by_role("alert")).to_contain_text("Still invalid, and kept: data.user.age")
    stack.settled(parked, deadLettered=1)


def test_all_of_a_filter_are_replayed_after_a_question(new_page: NewPage, stack: Stack) -> None:
    others, parked = stack.park(1, CITY), stack.park(30, CITY)
    stack.accept_all_cities()
    page = new_page(_of(parked))

    page.get_by_role("button", name="Replay all of this filter…").click()
    expect(page.get_by_role("dialog")).to_contain_text("Replay 30 dead letters?")
    page.get_by_role("button", name="Replay 30").click()

    expect(page.locator("#notice")).to_contain_text("30 dead letters replayed")
    stack.settled(parked, stored=30)
    stack.settled(others, deadLettered=1)


def test_nothing_is_dropped_before_the_question_is_answered_with_yes(new_page: NewPage, stack: Stack) -> None:
    parked = stack.park(2, CITY)
    page = new_page(_of(parked))
    drop = page.get_by_role("button", name="Drop all of this filter…")

    drop.click()
    expect(page.get_by_role("dialog")).to_contain_text("Drop 2 dead letters for good?")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#letters tbody tr")).to_have_count(2)
    drop.click()
    page.get_by_role("button", name="Drop 2").click()

    expect(page.locator("#notice")).to_contain_text("2 dead letters dropped")
    expect(page.locator("#letters")).to_contain_text("No dead letter")
    stack.settled(parked, deadLettered=2)  # the receipt keeps what became of them


def test_the_list_is_narrowed_by_the_form(new_page: NewPage, stack: Stack) -> None:
    stack.park(1, CITY)
    page = new_page("dead-letters")

    page.get_by_label("Source", exact=True).select_option("tiktok")

    expect(page).to_have_url(re.compile("source=tiktok"))
    expect(page.locator("#letters")).to_contain_text("No dead letter fits this filter")
