"""Dead letters on real servers: what they carry, and how they are put through again."""

import io

import orjson
import pytest

from shared.errors import Fatal, NotDurable, Retryable
from shared.events import REGISTRY
from shared.outcomes import PublishFailure
from shared.wire import CORRELATION_ID, EVENTS, MESSAGE_ID, RECEIVED_AT
from streams.dead_letter import ATTEMPTS, ERROR, HOLDS, ORIGIN, REASON, SOURCE
from streams.definitions import definitions
from streams.parked import ParkedLetter, ParkedLetters
from streams.provision import provision
from streams.publisher import Publisher
from tests.integration.collectors.rig import Rig
from tests.integration.streams.putting_through import (
    bury,
    collect,
    collecting,
    events,
    listed,
    outlive_duplicate_window,
    park,
    run,
)
from tests.unit.collectors.samples import RECEIVED_AT as SENT_AT
from tests.unit.collectors.samples import encoded, event, headers

__all__ = ["collecting"]  # a fixture


async def receipt(collecting: Rig, accepted: int) -> tuple[int, ...]:
    answer = await collecting.receipt(accepted)
    names = ("accepted", "stored", "duplicates", "deadLettered", "pending", "replayed")
    return tuple(answer[name] for name in names)


async def test_a_dead_letter_carries_all_that_is_known_of_it(collecting: Rig) -> None:
    message_id = await bury(collecting, "good-1", "bad-1", "good-2")
    (letter,) = await collecting.dead_letters()
    about = letter.headers or {}
    assert letter.data == encoded(event("bad-1", amount="1.50"))[1:-1]
    assert {name: about[name] for name in (MESSAGE_ID, CORRELATION_ID, SOURCE, REASON, ORIGIN, ATTEMPTS)} == {
        MESSAGE_ID: f"{message_id}:dead:1", CORRELATION_ID: "c-1", SOURCE: "facebook", REASON: "integrity_error",
        ORIGIN: f"{collecting.stream}:1", ATTEMPTS: "1",
    }  # fmt: skip
    assert "none_is_bad" in about[ERROR]
    assert (about[RECEIVED_AT], about[HOLDS], about[EVENTS]) == (SENT_AT.isoformat(), "event", "1")

    (line,) = await listed(collecting)
    assert line.pop("error") == about[ERROR]
    assert line.pop("parkedAt") >= SENT_AT.isoformat()
    assert line == {
        "seq": 1, "receivedAt": SENT_AT.isoformat(), "source": "facebook", "reason": "integrity_error",
        "stream": collecting.stream, "streamSeq": 1, "attempts": 1, "correlationId": "c-1", "messageId": message_id,
        "index": 1, "holds": "event", "events": 1, "bytes": len(letter.data or b""), "cutFromBytes": None,
    }  # fmt: skip


async def test_what_is_mended_is_replayed_stored_once_and_no_dead_letter_any_more(collecting: Rig) -> None:
    message_id = await bury(collecting, "good-1", "bad-1", "good-2", "bad-2")
    assert await receipt(collecting, 4) == (4, 2, 0, 2, 0, 0)

    said = await run(collecting, "dead-letters", "replay", "--dry-run")
    assert "2 dead letters replayed (dry run)" in said
    assert len(await collecting.dead_letters()) == 2
    assert await collecting.unsettled() == 0

    said = await run(collecting, "dead-letters", "replay")
    assert said == f"2 dead letters replayed; events published: {collecting.stream} 2\n"
    assert await collecting.dead_letters() == []
    assert await receipt(collecting, 4) == (4, 2, 0, 2, 0, 0), "until it is stored, it is what it was"
    await collect(collecting)
    assert await collecting.ids() == ["bad-1", "bad-2", "good-1", "good-2"]
    assert await collecting.ledger() == {
        message_id: (4, 2, 0, 2), f"{message_id}~dead-1": (1, 1, 0, 0), f"{message_id}~dead-3": (1, 1, 0, 0),
    }  # fmt: skip
    assert await receipt(collecting, 4) == (4, 4, 0, 0, 0, 2)
    stored = "SELECT correlation_id, received_at FROM events WHERE event_id LIKE 'bad%'"
    assert await collecting.fetch(stored) == [("c-1", SENT_AT)] * 2
    assert await run(collecting, "dead-letters", "replay") == "no dead letters replayed; events published: none\n"


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_crash_between_publishing_and_removing_doubles_nothing(
    collecting: Rig, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    message_id = await bury(collecting, "good-1", "bad-1", "bad-2")

    async def crash(_letters: ParkedLetters, _letter: ParkedLetter, *, erase: bool) -> None:
        raise Retryable("the process is gone")

    with monkeypatch.context() as patched:
        patched.setattr(ParkedLetters, "remove", crash)
        with pytest.raises(Retryable):
            await run(collecting, "dead-letters", "replay")
    assert len(await collecting.dead_letters()) == 2, "removed only after the publishing"
    await collect(collecting)
    assert await receipt(collecting, 3) == (3, 3, 0, 0, 0, 2)
    before = await collecting.fetch("SELECT * FROM events ORDER BY event_id")
    if is_late:
        await outlive_duplicate_window(collecting)

    await run(collecting, "dead-letters", "replay")
    await collect(collecting)
    assert await collecting.dead_letters() == []
    assert await collecting.fetch("SELECT * FROM events ORDER BY event_id") == before
    assert await receipt(collecting, 3) == (3, 3, 0, 0, 0, 2)
    assert f"{message_id}~dead-1" in await collecting.ledger()


@pytest.mark.parametrize("has_stream", [True, False])
async def test_nothing_is_removed_where_it_can_not_be_published(
    collecting: Rig, monkeypatch: pytest.MonkeyPatch, has_stream: bool
) -> None:
    async def fail(*_: object) -> None:
        raise NotDurable(PublishFailure.TIMEOUT, "no acknowledgement")

    await park(collecting, orjson.dumps(event("a")))
    if has_stream:
        monkeypatch.setattr(Publisher, "publish", fail)
    else:
        await collecting.connection.jetstream.delete_stream(collecting.stream)
    with pytest.raises(Retryable):
        await run(collecting, "dead-letters", "replay")
    assert len(await collecting.dead_letters()) == 1
    await provision(collecting.connection, definitions(REGISTRY.sources, collecting.streams()))


async def test_what_is_refused_again_is_a_new_dead_letter_and_can_be_replayed_once_more(collecting: Rig) -> None:
    await bury(collecting, "good-1", "bad-1")
    await collecting.execute("ALTER TABLE events ADD CONSTRAINT still_bad CHECK (event_id NOT LIKE 'bad%')")
    await run(collecting, "dead-letters", "replay")
    await collect(collecting)
    assert [letter["index"] for letter in await listed(collecting)] == [0]
    assert await receipt(collecting, 2) == (2, 1, 0, 1, 0, 1)
    await collecting.execute("ALTER TABLE events DROP CONSTRAINT still_bad")
    await run(collecting, "dead-letters", "replay")
    await collect(collecting)
    assert await collecting.ids() == ["bad-1", "good-1"]
    assert await receipt(collecting, 2) == (2, 2, 0, 0, 0, 2)


async def test_what_is_still_invalid_stays_and_is_told_and_the_others_go(collecting: Rig) -> None:
    wrong = event("e-1")
    wrong["data"]["user"]["age"] = "41"
    await park(collecting, orjson.dumps(wrong))
    await park(collecting, orjson.dumps(event("e-2")), origin_id="m-2", received_at="yesterday")
    await park(collecting, b"\xff{", origin_id="m-3")
    with pytest.raises(Fatal, match="2 dead letters can't be replayed"):
        await run(collecting, "dead-letters", "replay")
    assert [letter["seq"] for letter in await listed(collecting)] == [1, 3]
    await collect(collecting)
    assert await collecting.ids() == ["e-2"]


async def test_each_reason_against_a_replay_is_precise(collecting: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"is_message": True, "events": 2}
    wrong = event("e-1")
    wrong["data"]["user"]["age"] = "41"
    await park(collecting, orjson.dumps(wrong), origin_id="a")
    await park(collecting, b'{"no": "array"}', origin_id="b", **whole)
    await park(
        collecting, encoded(event("e-2"), b'{"eventId":"e-3"}', event("e-4", "tiktok top")), origin_id="c", **whole
    )
    await park(collecting, encoded(event("e-5"), event("e-6")), origin_id="d", correlation_id="x y z", **whole)
    await park(collecting, b"[]", origin_id="e", **whole)
    monkeypatch.setattr(Publisher, "max_body_bytes", property(lambda _: 10))
    await park(collecting, b"[" * 30, origin_id="f", **whole)
    monkeypatch.undo()
    out = io.StringIO()
    with pytest.raises(Fatal, match=r"6 dead letters can't be replayed as above, and stay here"):
        await run(collecting, "dead-letters", "replay", out=out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "1: still invalid: data.user.age: Input should be a valid number"
    assert lines[1].startswith("2: still invalid: its body is no array of events: ")
    assert lines[2].startswith("3: still invalid (2 of its events are valid): event 1: ")
    assert lines[3] == "4: still invalid: it holds 2 events of 3 requests: whose is which is lost"
    assert lines[4] == "5: still invalid: its body is an empty array"
    assert lines[5] == "6: still invalid: its end was cut off: 10 of 30 bytes are here"
    await collect(collecting)
    assert await collecting.ids() == ["e-2"], "the valid events of an array are taken"
    assert len(await collecting.dead_letters()) == 6


async def test_an_unreadable_message_of_a_newer_gateway_is_replayed_event_by_event(collecting: Rig) -> None:
    about = headers("m-1", events=3).encode() | {"Floodgate-Format": "2"}
    await collecting.send_raw(encoded(*events("a", "b", "c")), about)
    await collect(collecting)
    assert await receipt(collecting, 3) == (3, 0, 0, 3, 0, 0)
    (line,) = await listed(collecting)
    assert (line["holds"], line["events"], line["reason"]) == ("message", 3, "unknown_format")
    await run(collecting, "dead-letters", "replay")
    await collect(collecting)
    assert await collecting.ids() == ["a", "b", "c"]
    assert await receipt(collecting, 3) == (3, 3, 0, 0, 0, 3)


async def test_each_event_of_an_unreadable_group_goes_under_the_correlation_id_of_its_request(collecting: Rig) -> None:
    body = encoded(*events("a", "b"))
    await park(collecting, body, is_message=True, events=2, correlation_id="first second", origin_id="group")
    await run(collecting, "dead-letters", "replay")
    await collect(collecting)
    found = await collecting.fetch("SELECT event_id, correlation_id FROM events ORDER BY 1")
    assert found == [("a", "first"), ("b", "second")]
