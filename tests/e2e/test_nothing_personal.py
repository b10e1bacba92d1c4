"""What is of a person never reaches a log line or a metric, whatever way its event takes.

A marker stands in every personal field, of valid events, of invalid ones in each way that a field can be wrong, of
bodies that are no JSON, of messages that no gateway wrote, and of rows that PostgreSQL refuses.
"""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import structlog
from prometheus_client import generate_latest

from shared import logs
from shared.logs import Logger
from shared.settings import LogSettings
from tests.integration.collectors.rig import Rig, rig
from tests.integration.gateway.conftest import start_gateway
from tests.integration.gateway.events import Event, array, facebook, text, tiktok, with_value

MARKER = "Mar-Ker-7f3a"
PERSONAL = {
    "facebook": ("userId", "name", "age", "gender", "location.country", "location.city"),
    "tiktok": ("userId", "username", "followers"),
}
REFUSES = """
ALTER TABLE demographics ADD CHECK (name NOT LIKE 'refused%');
CREATE FUNCTION cast_it() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM (NEW.data->'user'->>'name')::int; RETURN NEW; END $$;
CREATE TRIGGER cast_it BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.data->'user'->>'name' LIKE 'cast%')
    EXECUTE FUNCTION cast_it();
"""


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Logger, io.StringIO]]:
    """Logging as a program sets it up, on its lowest level, and what it wrote."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    monkeypatch.setattr("sys.stderr", stream)
    yield logs.configure(LogSettings(level="debug", repeats=100_000)), stream
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


def marked(event: Event) -> Event:
    """The event with the marker in all that is text and of a person, and in keys that nobody knows."""
    for field in PERSONAL[event["source"]]:
        if field not in {"age", "gender", "followers"}:
            with_value(event, f"data.user.{field}", MARKER)
    return {
        **event,
        "eventId": f"{MARKER} {event['eventId']}",  # not of a person, and none of a log line's business either
        "unknownKey": MARKER,
        "data": {**event["data"], "note": MARKER},
    }


def spoiled() -> Iterator[Event]:
    """Events that the gateway refuses, each for another field of a person."""
    wrong: tuple[Any, ...] = (MARKER, [MARKER], {MARKER: MARKER}, MARKER + "\0", MARKER * 200, None, 17)
    for make in (facebook, tiktok):
        for field in PERSONAL[make()["source"]]:
            for value in wrong:
                yield with_value(marked(make()), f"data.user.{field}", value)
        for key in ("timestamp", "source", "funnelStage", "eventType", "data"):
            yield {**marked(make()), key: MARKER}
        yield with_value(marked(make()), "data.engagement", {MARKER: MARKER})


async def test_no_log_line_and_no_metric_holds_what_is_of_a_person(
    nats_url: str, database_url: str, logged: tuple[Logger, io.StringIO]
) -> None:
    log, stream = logged
    async with AsyncExitStack() as stack:
        made: Rig = await stack.enter_async_context(rig(nats_url, database_url))
        await made.execute(REFUSES)
        gateway = await start_gateway(stack, nats_url, prefix=made.prefix, keep=True, log=log)
        bodies = [
            array(*(marked(make()) for make in (facebook, tiktok) for _ in range(20)), *spoiled()),
            text(marked(facebook())),
            array(*spoiled()),
            b"[{" + MARKER.encode(),
            MARKER.encode(),
            b'{"events": "' + MARKER.encode() + b'"}',
            array(
                with_value(
                    with_value(marked(facebook()), "data.user.name", f"refused {MARKER}"),
                    "data.user.userId",
                    f"{MARKER} whom the tables do not know yet",
                ),
                *(marked(facebook()) for _ in range(20)),
            ),
            array(*(with_value(marked(facebook()), "data.user.name", f"cast {MARKER}") for _ in range(2))),
        ]
        statuses = [(await gateway.post(body)).status for body in bodies]
        assert set(statuses) == {200, 400}
        for event in spoiled():
            if isinstance(event.get("eventId"), str):
                assert (await gateway.post(text(event), path="/webhook/events")).status in {200, 422}
        foreign = [text(event) for event in spoiled()]
        await made.send(foreign)
        await made.send_raw(MARKER.encode(), {"Floodgate-Received-At": "x", "Floodgate-Format": "1"})
        await made.send_raw(text([marked(facebook())]), {"Floodgate-Format": MARKER[:3]})
        async with made.collector(log=log, flush_events=1) as running:  # a message each, with its own error
            await made.all_settled()
            await running.stop()
            metrics = generate_latest(running.metrics.registry).decode()
        letters = await made.dead_letters()
        metrics += (await gateway.get("/metrics")).body.decode()
        await gateway.get(f"/nowhere/{MARKER}")
        await gateway.request("PUT", "/webhook/events", data=MARKER.encode())
    written = stream.getvalue()
    events = {json.loads(line)["event"] for line in written.splitlines()}
    assert {"bulk_answered", "request_refused", "batch_isolated", "flush_stored"} <= events
    assert {letter.headers["Floodgate-Reason"] for letter in letters if letter.headers} >= {
        "undecodable", "data_error", "integrity_error",
    }  # fmt: skip
    assert 'reason="' in metrics
    for where, said in (("logs", written), ("metrics", metrics)):
        for marker in (MARKER, MARKER.lower(), "Mar-Ker"):
            assert marker not in said, f"{where}: {[line for line in said.splitlines() if marker in line][:3]}"


def test_the_test_above_would_see_a_marker(logged: tuple[Logger, io.StringIO]) -> None:
    log, stream = logged
    log.warning("any_line", field=MARKER)
    assert MARKER in stream.getvalue()
