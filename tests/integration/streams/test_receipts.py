"""Request records and dead letters: durable, found again, and nobody else's."""

import msgspec
import pytest

from shared.errors import NotDurable, Retryable
from shared.outcomes import DeadLetterReason
from shared.wire import CORRELATION_ID, MESSAGE_ID
from streams.connection import Connection
from streams.dead_letter import DeadLetter, DeadLetters
from streams.definitions import Definition
from streams.publisher import Publisher
from streams.receipts import Receipts, RequestRecord, TooMany
from streams.settings import PublishSettings
from streams.subjects import Names
from tests.integration.streams.conftest import SOURCE


@pytest.fixture
def publisher(connection: Connection) -> Publisher:
    return Publisher(connection, PublishSettings.load(attempts=1, timeout_ms=2_000), metrics=None)


@pytest.fixture
def receipts(connection: Connection, publisher: Publisher, names: Names) -> Receipts:
    return Receipts(connection, publisher, names)


def record(request_id: str, correlation_id: str = "c-1", accepted: int = 5) -> RequestRecord:
    return RequestRecord(
        request_id=request_id,
        correlation_id=correlation_id,
        received_at="2026-01-25T17:31:13.660000+00:00",
        accepted={"facebook": accepted},
        failed=2,
        unconfirmed=(f"{request_id}:facebook:1",),
    )


@pytest.mark.usefixtures("streams")
async def test_a_record_is_found_as_it_was_written(receipts: Receipts) -> None:
    await receipts.write(record("r-1"))
    (found,) = await receipts.read("c-1")
    assert msgspec.to_builtins(found) == {
        "requestId": "r-1",
        "correlationId": "c-1",
        "receivedAt": "2026-01-25T17:31:13.660000+00:00",
        "accepted": {"facebook": 5},
        "failed": 2,
        "unconfirmed": ["r-1:facebook:1"],
    }


@pytest.mark.usefixtures("streams")
async def test_all_requests_of_an_id_are_found_in_their_order_among_others(receipts: Receipts) -> None:
    for number in range(4):
        await receipts.write(record(f"r-{number}", accepted=number))
        await receipts.write(record(f"other-{number}", correlation_id=f"c-other-{number}"))
    assert [one.request_id for one in await receipts.read("c-1")] == ["r-0", "r-1", "r-2", "r-3"]
    assert [one.request_id for one in await receipts.read("c-other-2")] == ["other-2"]


@pytest.mark.usefixtures("streams")
async def test_an_id_that_was_never_used_has_no_records(receipts: Receipts) -> None:
    assert await receipts.read("c-1") == []
    await receipts.write(record("r-1"))
    assert await receipts.read("c-2") == []


@pytest.mark.usefixtures("streams")
async def test_an_id_of_more_requests_than_a_receipt_sums_has_none(
    receipts: Receipts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.receipts.MAX_RECORDS", 3)
    for number in range(3):
        await receipts.write(record(f"r-{number}"))
    assert len(await receipts.read("c-1")) == 3
    await receipts.write(record("r-3"))
    with pytest.raises(TooMany, match="more than 3 requests"):
        await receipts.read("c-1")


@pytest.mark.usefixtures("streams")
async def test_a_record_written_twice_counts_once(receipts: Receipts) -> None:
    await receipts.write(record("r-1"))
    await receipts.write(record("r-1"))
    assert len(await receipts.read("c-1")) == 1


@pytest.mark.usefixtures("streams")
async def test_another_id_on_the_same_subject_is_not_taken_for_ours(
    connection: Connection, receipts: Receipts, names: Names
) -> None:
    """The subject is a hash: where two ids share one, the record itself says whose it is."""
    await receipts.write(record("r-1"))
    theirs = msgspec.json.encode(record("r-2", correlation_id="c-that-collides"))
    await connection.jetstream.publish(names.receipts("c-1"), theirs)
    await receipts.write(record("r-3"))
    assert [one.request_id for one in await receipts.read("c-1")] == ["r-1", "r-3"]


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("correlation_id", [">", "*", "a.b", "a b", "", "é" * 200, "x" * 5_000])
async def test_an_id_of_any_characters_reads_its_own_and_nobody_elses(receipts: Receipts, correlation_id: str) -> None:
    await receipts.write(record("r-1"))
    await receipts.write(record("r-2", correlation_id=correlation_id))
    assert [one.request_id for one in await receipts.read(correlation_id)] == ["r-2"]


@pytest.mark.usefixtures("no_streams_left")
async def test_without_the_stream_a_record_is_not_durable_and_reading_says_nothing_is_there(receipts: Receipts) -> None:
    with pytest.raises(NotDurable, match="no_stream"):
        await receipts.write(record("r-1"))


async def test_a_record_can_not_be_read_while_disconnected(connection: Connection, receipts: Receipts) -> None:
    await connection.close()
    with pytest.raises(Retryable, match="not connected"):
        await receipts.read("c-1")


def letter(index: int = 0, body: bytes = b'{"eventId": 1}', error: str = "too\r\nlong: é") -> DeadLetter:
    return DeadLetter(
        body=body,
        source=SOURCE,
        reason=DeadLetterReason.DATA_ERROR,
        error=error,
        stream="FACEBOOK_EVENTS",
        stream_seq=17,
        attempts=3,
        correlation_id="c-1",
        origin_id="r-1:facebook:0",
        index=index,
    )


async def dead(connection: Connection, names: Names, sequence: int = 1) -> tuple[bytes, dict[str, str]]:
    message = await connection.jetstream.get_msg(names.dead_letters_stream, seq=sequence)
    return message.data or b"", message.headers or {}


async def test_a_dead_letter_keeps_the_bytes_and_says_why(
    connection: Connection, streams: list[Definition], publisher: Publisher, names: Names
) -> None:
    await DeadLetters(publisher, names).park(letter())
    body, headers = await dead(connection, names)
    assert body == b'{"eventId": 1}'
    assert (
        headers.items()
        >= {
            MESSAGE_ID: "r-1:facebook:0:dead:0",
            CORRELATION_ID: "c-1",
            "Floodgate-Source": "facebook",
            "Floodgate-Reason": "data_error",
            "Floodgate-Error": "too long: ?",
            "Floodgate-Origin": "FACEBOOK_EVENTS:17",
            "Floodgate-Attempts": "3",
        }.items()
    )


async def test_an_event_parked_twice_is_kept_once_and_its_neighbour_beside_it(
    connection: Connection, streams: list[Definition], publisher: Publisher, names: Names
) -> None:
    letters = DeadLetters(publisher, names)
    for index in (0, 0, 1):
        await letters.park(letter(index))
    assert (await connection.jetstream.stream_info(names.dead_letters_stream)).state.messages == 2


async def test_an_error_of_any_length_fits(
    connection: Connection, streams: list[Definition], publisher: Publisher, names: Names
) -> None:
    await DeadLetters(publisher, names).park(letter(error="x" * 100_000))
    _, headers = await dead(connection, names)
    assert headers["Floodgate-Error"] == "x" * 500


async def test_a_foreign_message_without_room_for_our_headers_is_cut_and_says_so(
    connection: Connection, streams: list[Definition], publisher: Publisher, names: Names
) -> None:
    """It must be parked all the same: a collector that can't would stop at it for ever."""
    foreign = bytes(range(256)) * 4096
    assert len(foreign) == connection.max_payload_bytes
    await DeadLetters(publisher, names).park(letter(body=foreign))
    body, headers = await dead(connection, names)
    assert body == foreign[: publisher.max_body_bytes]
    assert headers["Floodgate-Cut-From-Bytes"] == str(2**20)


@pytest.mark.usefixtures("no_streams_left")
async def test_a_dead_letter_that_is_not_durable_is_told(publisher: Publisher, names: Names) -> None:
    with pytest.raises(NotDurable):
        await DeadLetters(publisher, names).park(letter())
