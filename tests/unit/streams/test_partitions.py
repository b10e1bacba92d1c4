"""Which stream an event goes to: the same one for ever, all of them alike, and each with names of its own."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from shared.errors import SettingsError
from streams.definitions import definitions
from streams.partitions import partition_of
from streams.present import pool_of
from streams.settings import StreamSettings
from streams.subjects import MAX_PARTITIONS, Names


@dataclass
class Event:
    """What is asked of an event here."""

    source: str
    event_id: str


@pytest.mark.parametrize(
    ("event_id", "partitions", "expected"),
    [
        ("123456789", 1_000, 262),  # the check value of CRC-32, 0xCBF43926, is 3,421,780,262
        ("123456789", 3, 2),
        ("fb-e4a15421-b14b-4933-9b63-2f997e906fb5", 3, 2),
        ("fb-e4a15421-b14b-4933-9b63-2f997e906fb5", 256, 24),
        ("ttk-e4a15421-b14b-4933-9b63-2f997e906fb5", 3, 0),
        ("é", 3, 2),
        ("anything", 1, 0),
    ],
)
def test_an_event_id_is_in_the_same_partition_for_ever(event_id: str, partitions: int, expected: int) -> None:
    assert partition_of(event_id, partitions) == expected


@pytest.mark.parametrize("partitions", [2, 3, 7, 16, 64, 256])
@pytest.mark.parametrize(
    "event_id",
    [
        lambda number: f"fb-{uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128, version=4)}",
        lambda number: f"event-{number}",
        lambda number: f"{number * 10:012}",
    ],
    ids=["uuids", "counted", "every tenth, padded"],
)
def test_usual_ids_fall_into_all_partitions_alike(event_id: Callable[[int], str], partitions: int) -> None:
    ids = 200 * partitions
    counts = Counter(partition_of(event_id(number), partitions) for number in range(ids))
    assert len(counts) == partitions
    assert 0.6 * 200 < min(counts.values()) <= max(counts.values()) < 1.4 * 200


def test_without_partitions_the_names_are_those_that_users_rely_on() -> None:
    (only,) = Names().of("facebook")
    assert (only.stream, only.events, only.grouped, only.token, only.label) == (
        "FACEBOOK_EVENTS", "events.facebook", "events.facebook.grouped", "facebook", "facebook",
    )  # fmt: skip


def test_each_partition_has_names_of_its_own() -> None:
    partitions = Names("STAGING_", 3).of("facebook")
    assert [one.number for one in partitions] == [0, 1, 2]
    last = partitions[2]
    assert (last.stream, last.events, last.grouped, last.token, last.label) == (
        "STAGING_FACEBOOK_EVENTS_2", "staging_events.facebook.2", "staging_events.facebook.2.grouped",
        "facebook-2", "facebook (partition 2)",
    )  # fmt: skip


def test_streams_of_any_two_numbers_of_partitions_can_stand_side_by_side() -> None:
    """While the number changes both are there, and JetStream refuses streams whose subjects overlap."""
    subjects = {
        one.name: tuple(one.stream.subjects or ())
        for partitions in (1, 3, 5)
        for one in definitions(["facebook", "tiktok"], StreamSettings.load(partitions=partitions))
    }
    every = [subject for of_one in subjects.values() for subject in of_one]
    assert len(every) == len(set(every))
    assert not any("*" in subject or ">" in subject for subject in every if subject.startswith("events."))


def test_an_event_goes_to_the_partition_of_its_id_and_source() -> None:
    partitions = Names(partitions=3).all(["facebook", "tiktok"])
    assert partitions.of(Event("facebook", "123456789")).stream == "FACEBOOK_EVENTS_2"
    assert partitions.of(Event("tiktok", "123456789")).stream == "TIKTOK_EVENTS_2"
    assert Names().all(["facebook", "tiktok"]).of(Event("tiktok", "123456789")).stream == "TIKTOK_EVENTS"
    assert [one.stream for one in partitions] == [
        f"{source}_EVENTS_{number}" for source in ("FACEBOOK", "TIKTOK") for number in range(3)
    ]


@pytest.mark.parametrize("partitions", [1, 3, MAX_PARTITIONS])
def test_a_partition_is_known_again_by_its_streams_name(partitions: int) -> None:
    names = Names("STAGING_", partitions)
    for one in names.of("facebook"):
        assert Names("STAGING_").parse("facebook", one.stream) == one


@pytest.mark.parametrize(
    "stream",
    ["FACEBOOK_EVENTS_", "FACEBOOK_EVENTS_00", "FACEBOOK_EVENTS_x", "FACEBOOK_EVENTS_-1", "FACEBOOK_EVENTS_256",
     "FACEBOOK_EVENTS_٣", "TIKTOK_EVENTS", "X_FACEBOOK_EVENTS", "FACEBOOK_EVENTS_1_1", ""],
)  # fmt: skip
def test_a_stream_of_another_name_is_none_of_a_source(stream: str) -> None:
    assert Names().parse("facebook", stream) is None


def test_every_stream_that_ever_was_has_one_pool_that_reads_it() -> None:
    for now in (1, 2, 3):
        for before in (1, 2, 5):
            for one in Names(partitions=before).of("facebook"):
                assert 0 <= pool_of(one, now) < now
        assert [pool_of(one, now) for one in Names(partitions=now).of("facebook")] == list(range(now))


@pytest.mark.parametrize("partitions", [0, 257, -1])
def test_an_impossible_number_of_partitions_is_told(partitions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITIONS", str(partitions))
    with pytest.raises(SettingsError, match=f"PARTITIONS='{partitions}': takes a whole number from 1 to 256"):
        StreamSettings.load()
