"""Dead letters over HTTP: looked at, put through again, dropped; nothing without `confirm`."""

import json
import uuid
from typing import Any

import pytest

from gateway.console import dead_letters
from shared.outcomes import DeadLetterReason
from streams.dead_letter import DeadLetter, DeadLetters
from streams.publisher import Publisher
from streams.settings import PublishSettings
from tests.integration.gateway.conftest import Answer, Running
from tests.integration.gateway.events import facebook, tiktok

BASE = "/console/dead-letters"
INVALID = {"eventId": "broken", "source": "facebook"}


async def park(gateway: Running, *events: Any, **fields: Any) -> None:
    """Dead letters of these events, one after the other."""
    writer = DeadLetters(Publisher(gateway.gateway._connection, PublishSettings(), metrics=None), gateway.names)
    for event in events:
        values = {
            "body": json.dumps(event).encode(), "source": event["source"], "reason": DeadLetterReason.DATA_ERROR,
            "error": "it does not fit", "stream": gateway.names.stream(event["source"]), "stream_seq": 7,
            "attempts": 1, "correlation_id": "request-1", "origin_id": uuid.uuid4().hex, "index": 0,
        }  # fmt: skip
        await writer.park(DeadLetter(**values | fields))


async def act(gateway: Running, path: str, body: Any, **headers: str) -> Answer:
    """POST an action."""
    return await gateway.request("POST", f"{BASE}/{path}", json=body, headers=headers)


async def sequences(gateway: Running, query: str = "") -> list[int]:
    """Those of a page."""
    return [letter["seq"] for letter in (await gateway.get(f"{BASE}?{query}")).json["letters"]]


async def test_letters_are_listed_newest_first_page_by_page_and_by_filter(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "PAGE_LETTERS", 2)
    await park(gateway, facebook(eventId="a"), tiktok(eventId="b"), facebook(eventId="c"))
    await park(gateway, facebook(eventId="d"), reason=DeadLetterReason.UNDECODABLE, correlation_id="request-2")

    first = (await gateway.get(BASE)).json

    assert [letter["seq"] for letter in first["letters"]] == [4, 3]
    assert first["total"] == 4
    assert "body" not in first["letters"][0]
    assert await sequences(gateway, f"before={first['before']}") == [2, 1]
    assert await sequences(gateway, "source=tiktok") == [2]
    assert await sequences(gateway, "reason=undecodable") == [4]
    assert await sequences(gateway, "correlationId=request-2") == [4]
    assert await sequences(gateway, "since=2999-01-01T00:00:00Z") == []
    assert (await gateway.get(f"{BASE}?since=yesterday")).status == 400
    assert (await gateway.get(f"{BASE}?colour=red")).status == 400


async def test_a_letter_is_shown_with_its_event_and_is_in_no_log(gateway: Running) -> None:
    await park(gateway, facebook(eventId="a-person"))

    shown = await gateway.get(f"{BASE}/1")

    assert json.loads(shown.json["body"])["eventId"] == "a-person"
    assert shown.json["error"] == "it does not fit"
    assert shown.headers["Cache-Control"] == "no-store"
    assert (await gateway.get(f"{BASE}/99")).status == 404
    await act(gateway, "1/replay", {})
    assert "a-person" not in str(gateway.log.entries)


async def test_an_edited_event_is_published_and_its_letter_removed(gateway: Running) -> None:
    await park(gateway, INVALID)
    refused = await act(gateway, "1/replay", {})
    assert refused.status == 422
    assert refused.json["problems"]
    assert await sequences(gateway) == [1]

    answer = await act(gateway, "1/replay", {"body": json.dumps(facebook(eventId="mended"))})

    assert answer.status == 200
    assert answer.json["published"] == {gateway.names.stream("facebook"): 1}
    assert await gateway.stored_ids("facebook", "request-1") == ["mended"]
    assert await sequences(gateway) == []
    assert (await act(gateway, "1/replay", {})).status == 404


async def test_a_dry_run_says_what_would_happen_and_changes_nothing(gateway: Running) -> None:
    await park(gateway, facebook(eventId="a"), INVALID)

    replayed = await act(gateway, "replay", {})
    dropped = await act(gateway, "drop", {})

    assert replayed.json | {"problems": []} == {
        "letters": 1, "events": 1, "kept": 1, "problems": [], "upTo": 2, "next": None, "confirmed": False,
    }  # fmt: skip
    assert replayed.json["problems"][0]["seq"] == 2
    assert dropped.json["letters"] == 2
    assert await sequences(gateway) == [2, 1]
    assert await gateway.stored_ids("facebook") == []


async def test_a_replay_takes_the_filter_up_to_what_was_looked_at(gateway: Running) -> None:
    await park(gateway, facebook(eventId="a"), tiktok(eventId="b"))
    dry = await act(gateway, "replay", {"source": "facebook"})
    await park(gateway, facebook(eventId="parked-meanwhile"))

    done = await act(gateway, "replay", {"source": "facebook", "upTo": dry.json["upTo"], "confirm": True})

    assert done.json["letters"] == 1
    assert await gateway.stored_ids("facebook") == ["a"]
    assert await sequences(gateway) == [3, 2]


async def test_a_long_action_is_done_in_bounded_parts(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "LOOK_AT", 2)
    await park(gateway, *(facebook(eventId=f"e-{at}") for at in range(5)))
    start: int | None = None
    letters = []
    while True:
        more = {} if start is None else {"start": start}
        part = (await act(gateway, "drop", {"confirm": True, "upTo": 5} | more)).json
        letters.append(part["letters"])
        start = part["next"]
        if start is None:
            break

    assert letters == [2, 2, 1]
    assert await sequences(gateway) == []


async def test_one_letter_is_dropped_by_its_sequence(gateway: Running) -> None:
    await park(gateway, facebook(eventId="a"), facebook(eventId="b"))

    assert (await act(gateway, "drop", {"seq": 1, "confirm": True})).json["letters"] == 1

    assert await sequences(gateway) == [2]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
)
async def test_a_request_of_another_page_changes_nothing(
    gateway: Running, headers: dict[str, str], status: int
) -> None:
    await park(gateway, facebook(eventId="a"))

    for path in ("drop", "replay", "1/replay"):
        body = {} if path == "1/replay" else {"confirm": True}
        assert (await act(gateway, path, body, **headers)).status == status

    form = await gateway.request(
        "POST", f"{BASE}/drop", data=b'{"confirm": true}', headers={"Content-Type": "text/plain"}
    )
    assert form.status == 415
    assert await sequences(gateway) == [1]


async def test_what_is_no_action_is_refused_with_its_reason(gateway: Running) -> None:
    assert (await act(gateway, "drop", {"confirm": True, "sorce": "facebook"})).status == 400
    assert (await act(gateway, "drop", [])).status == 400
