"""Names of streams and subjects: fixed where users rely on them, and steered by nobody."""

import re

import pytest
from nats.js.api import DiscardPolicy

from streams.definitions import definitions
from streams.settings import StreamSettings
from streams.subjects import Names


def test_the_names_that_users_rely_on() -> None:
    names = Names()
    assert (names.stream("facebook"), names.events("facebook")) == ("FACEBOOK_EVENTS", "events.facebook")
    assert (names.stream("tiktok"), names.events("tiktok")) == ("TIKTOK_EVENTS", "events.tiktok")
    assert (names.dead_letters_stream, names.dead_letters(), names.dead_letters("facebook")) == (
        "DEAD_LETTERS",
        "dead_letters.*",
        "dead_letters.facebook",
    )
    assert (names.receipts_stream, names.receipts()) == ("RECEIPTS", "receipts.*")


def test_a_prefix_sets_everything_apart() -> None:
    names = Names("STAGING_")
    assert (names.stream("facebook"), names.events("facebook")) == (
        "STAGING_FACEBOOK_EVENTS",
        "staging_events.facebook",
    )
    assert names.dead_letters("tiktok") == "staging_dead_letters.tiktok"
    assert names.receipts() == "staging_receipts.*"


@pytest.mark.parametrize("correlation_id", ["plain", "a.b", "*", ">", "", " ", "\r\n", "é", "x" * 10_000])
def test_what_a_sender_chose_is_one_plain_token(correlation_id: str) -> None:
    assert re.fullmatch(r"receipts\.[0-9a-f]{32}", Names().receipts(correlation_id))


def test_different_ids_have_different_subjects_and_the_same_id_has_the_same() -> None:
    subjects = [Names().receipts(f"c-{number % 500}") for number in range(1_000)]
    assert len(set(subjects)) == 500
    assert subjects[:500] == subjects[500:]


def test_two_systems_on_one_server_share_no_stream_and_no_subject() -> None:
    def taken(prefix: str) -> set[str]:
        found = definitions(["facebook", "tiktok"], StreamSettings.load(prefix=prefix))
        return {one.name for one in found} | {subject for one in found for subject in one.stream.subjects or []}

    assert not taken("") & taken("STAGING_")


@pytest.mark.parametrize("max_age_ms", [1_000, 60_000, 86_400_000])
def test_the_duplicate_window_is_never_longer_than_messages_live(max_age_ms: int) -> None:
    """The server refuses it otherwise."""
    source = definitions(["facebook"], StreamSettings.load(max_age_ms=max_age_ms))[0].stream
    assert source.max_age == max_age_ms / 1_000
    assert source.duplicate_window == min(120, max_age_ms / 1_000)


def test_dead_letters_are_refused_rather_than_evicted() -> None:
    by_name = {one.name: one.stream for one in definitions([], StreamSettings.load())}
    assert by_name["DEAD_LETTERS"].discard is DiscardPolicy.NEW
    assert not by_name["DEAD_LETTERS"].max_age
    assert by_name["DEAD_LETTERS"].max_bytes
