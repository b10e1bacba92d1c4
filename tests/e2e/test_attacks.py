"""What a sender may try with the content of its events, and with a request that was overheard: from HTTP to the tables.

Hostile text stands in every string field of both platforms, where it would matter if it became a part of a statement,
a COPY row, a subject, a header or a log line.
"""

import asyncio
import base64
import copy
import hashlib
import hmac
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import nats
import pytest
import structlog
from standardwebhooks import Webhook

from shared import logs
from shared.events import REGISTRY
from shared.logs import Logger
from shared.settings import LogSettings
from streams.definitions import definitions
from tests.integration.collectors.rig import Rig, rig, until
from tests.integration.gateway.conftest import Running, start_gateway
from tests.integration.gateway.events import Event, array, facebook, text, tiktok, with_value

HOSTILE = [
    "'; DROP TABLE events; --", "\"; DROP TABLE events; --", "$$; DROP TABLE events; $$", "' OR '1'='1", "%s {0} $1",
    ">", "*", "events.>", "events.facebook", "$JS.API.STREAM.DELETE.FACEBOOK_EVENTS", "_INBOX.>", "a b", " ", ".", "..",
    "line\r\nNats-Msg-Id: forged", "\r", "\n", "NATS/1.0\r\n\r\n", "+OK\r\n", "PUB a 1\r\nx\r\n",
    "\\.", "\n\\.\n", "\\N", "\\", "\t", "a\tb\tc\n", "\\x00", "\\u0000", "PGCOPY\n\\xff\r\n",
    '"},{"eventId":"x', "<script>alert(1)</script>", "${jndi:ldap://x}", "\x1b[2J\x1b[31m", "\x7f", "\u2028", "\ufeff",
    '{"event": "forged", "level": "info"}', "2026-01-01T00:00:00Z info  forged", "=cmd|' /C calc'!A0",
    "../../etc/passwd",
]  # fmt: skip
CLOSED = {
    "timestamp", "source", "funnelStage", "eventType", "data.user.gender", "data.engagement.actionTime",
    "data.engagement.referrer", "data.engagement.clickPosition", "data.engagement.device", "data.engagement.browser",
    "data.engagement.purchaseAmount",
}  # fmt: skip
"""Lists, times and amounts: what is none of theirs is refused. Every other string is taken as it is."""


def samples() -> Iterator[Event]:
    """A valid event of each shape, from the descriptions that the models give of themselves, with no field empty."""
    for platform in REGISTRY:
        for model in platform.models:
            event: Event = copy.deepcopy(model.model_json_schema()["examples"][0])
            engagement = event["data"]["engagement"]
            engagement |= {field: "12.50" for field, value in engagement.items() if value is None}
            yield event | {"unknownKey": "text"}


def string_fields(value: Any, path: str = "") -> Iterator[str]:
    """Dotted paths of all strings in an event."""
    for key, child in value.items():
        here = f"{path}.{key}".lstrip(".")
        if isinstance(child, dict):
            yield from string_fields(child, here)
        elif isinstance(child, str):
            yield here


def attacks() -> Iterator[tuple[str, Event]]:
    """(the field that is hostile, the event), ids all different."""
    for shape, sample in enumerate(samples()):
        for field in string_fields(sample):
            for number, hostile in enumerate(HOSTILE):
                event = {**copy.deepcopy(sample), "eventId": f"{shape}-{field}-{number}"}
                with_value(event, "data.user.userId", f"user of {event['eventId']}")
                yield field, with_value(event, field, f"{hostile}{shape}" if field == "eventId" else hostile)


@asynccontextmanager
async def whole_way(nats_url: str, database_url: str, **changes: Any) -> AsyncIterator[tuple[Rig, Running]]:
    """A gateway, a collector of each platform, and the tables."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(rig(nats_url, database_url))
        gateway = await start_gateway(stack, nats_url, prefix=made.prefix, keep=True, **changes)
        for source in REGISTRY.sources:
            await stack.enter_async_context(made.collector(source=source))
        yield made, gateway


async def stored(made: Rig, events: int) -> None:
    """Wait until the ledger has so many."""

    async def enough() -> bool:
        [(total,)] = await made.fetch("SELECT coalesce(sum(events), 0) FROM batches")
        return bool(total >= events)

    await until(enough)


async def test_hostile_text_in_any_string_field_is_stored_as_it_was_sent_or_refused(
    nats_url: str, database_url: str
) -> None:
    sent = list(attacks())
    assert {field for field, _ in sent} > CLOSED
    async with whole_way(nats_url, database_url, max_reported_errors=50_000) as (made, gateway):
        answer = await gateway.post(array(*(event for _, event in sent)))
        refused = {detail["index"]: detail["field"] for detail in answer.json["errorDetails"]}
        assert {sent[at][0]: field for at, field in refused.items()} == {field: field for field in CLOSED}
        assert len(refused) == sum(field in CLOSED for field, _ in sent)
        taken = {event["eventId"]: event for at, (_, event) in enumerate(sent) if at not in refused}
        await stored(made, len(taken))

        rows = await made.fetch("SELECT event_id, source, user_id, event_type, data, extra FROM events")
        assert {row[0] for row in rows} == set(taken)
        for event_id, source, user_id, event_type, data, extra in rows:
            event = taken[event_id]
            assert (source, user_id, event_type) == (
                event["source"], event["data"]["user"]["userId"], event["eventType"],
            )  # fmt: skip
            assert json.loads(data) == event["data"]
            assert json.loads(extra) == {"unknownKey": event["unknownKey"]}
        people = {(row[0], row[1]): row[2:] for row in await made.fetch(
            "SELECT source, user_id, name, country, city FROM demographics"
        )}  # fmt: skip
        names = {row[0] for row in people.values()}
        assert set(HOSTILE) <= names
        for column in (1, 2):
            assert set(HOSTILE) <= {row[column] for row in people.values()}
        assert set(HOSTILE) <= {row[0] for row in await made.fetch("SELECT item FROM revenue")}
        assert await made.fetch("SELECT events, inserted FROM batches WHERE events <> inserted") == []
        assert await made.dead_letters() == []
        await _nothing_was_steered(made)


async def test_no_field_of_an_event_becomes_a_subject_or_a_header(nats_url: str, database_url: str) -> None:
    """Single events too, which share messages; and the sender's own words of the request besides."""
    async with whole_way(nats_url, database_url) as (made, gateway):
        answers = await asyncio.gather(
            *(gateway.post(text(make(eventId=hostile)), path="/webhook/events", x_correlation_id=f"c-{at}")
              for at, hostile in enumerate(HOSTILE) for make in (facebook, tiktok))
        )  # fmt: skip
        assert {answer.status for answer in answers} == {200}
        await stored(made, 2 * len(HOSTILE))
        for source in REGISTRY.sources:
            ids = await made.fetch("SELECT event_id FROM events WHERE source = $1", source)
            assert sorted(row[0] for row in ids) == sorted(HOSTILE)
            for message in await gateway.stored(source):
                assert re.fullmatch(r"[A-Za-z0-9._-]+", message.headers["Nats-Msg-Id"])
                assert re.fullmatch(r"c-\d+( c-\d+)*", message.headers["Floodgate-Correlation-Id"])
                assert set(message.headers) == {
                    "Nats-Msg-Id", "Floodgate-Correlation-Id", "Floodgate-Events", "Floodgate-Received-At",
                    "Floodgate-Format",
                }  # fmt: skip
        await _nothing_was_steered(made)


async def _nothing_was_steered(made: Rig) -> None:
    """The streams are those that were made, and hold messages of their own subjects alone; so are the tables."""
    client = await nats.connect(made.nats_url)
    try:
        streams = {one.name for one in definitions(REGISTRY.sources, made.streams())}
        found = {info.config.name for info in await client.jetstream().streams_info()}
        assert {name for name in found if name and name.startswith(made.prefix)} == streams
        for source in REGISTRY.sources:
            info = await client.jetstream().stream_info(made.names.stream(source), subjects_filter=">")
            events = made.names.events(source)
            assert set(info.state.subjects or {}) <= {events, f"{events}.grouped"}
    finally:
        await client.close()
    tables = await made.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    assert {"events", "demographics", "revenue", "batches"} <= {row[0] for row in tables}


SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
SENDERS = """
[senders.hooks]
signature = "standard-webhooks"
secrets = [{ variable = "HOOKS_SECRET" }]
[senders.meta]
signature = "meta"
secrets = [{ variable = "META_SECRET" }]
"""


async def test_a_request_that_is_replayed_doubles_nothing_in_the_tables(
    nats_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOKS_SECRET", SECRET)
    monkeypatch.setenv("META_SECRET", "an-app-secret-of-meta")
    body, now = array(facebook(), facebook(), tiktok()), datetime.now(UTC)
    standard = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body.decode()),
    }
    meta = {"X-Hub-Signature-256": "sha256=" + hmac.new(b"an-app-secret-of-meta", body, hashlib.sha256).hexdigest()}
    async with whole_way(nats_url, database_url, senders=SENDERS) as (made, gateway):
        for name, signed in (("hooks", standard), ("meta", meta)):
            for _ in range(3):
                answer = await gateway.post(body, path=f"/webhook/events/bulk?sender={name}", **signed)
                assert (answer.status, answer.json["processed"]) == (200, 3)
        await stored(made, 6 * 3)
        assert sorted(await made.ids()) == sorted(event["eventId"] for event in json.loads(body))
        assert len(await made.ids("revenue")) == 2
        [totals] = await made.fetch("SELECT sum(events), sum(inserted), sum(duplicates) FROM batches")
        assert totals == (18, 3, 15)


FORGED = [
    '2026-01-01T00:00:00Z [info] forged', '{"event": "forged", "level": "info"}', "\x1b[2Kforged", "forged\tx",
    "\u2028forged",
]  # fmt: skip
LINE_BREAKS = ("\n", "\r\n", "\r", "\x0b", "\x85")


@pytest.fixture(params=["json", "console"])
def logged(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Logger, io.StringIO]]:
    """Logging as a program sets it up, on its lowest level, in each form, and what it wrote."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    monkeypatch.setattr("sys.stderr", stream)
    settings = LogSettings(level="debug", format=request.param, repeats=100_000)
    yield request.param, logs.configure(settings), stream
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_nothing_that_is_sent_forges_a_log_line(nats_url: str, logged: tuple[str, Logger, io.StringIO]) -> None:
    form, log, stream = logged
    async with AsyncExitStack() as stack:
        guarded = await start_gateway(
            stack, nats_url, log=log, senders=f'[senders.a]\nkey_hashes = ["sha256:{"0" * 64}"]'
        )
        opened = await start_gateway(stack, nats_url, log=log)
        hostile = [f"{before}{text}" for before in ("", *LINE_BREAKS) for text in FORGED]
        await opened.post(array(*(facebook(eventId=one) for one in hostile)))
        await opened.post(array(*(facebook(source=one, eventType=one) for one in hostile)))
        for one in hostile:
            await opened.post(text(facebook(eventId=one)), path="/webhook/events")
            await opened.post(one.encode())
        for raw in [one.encode() for one in hostile]:
            escaped = quote(raw).encode()  # what needs no escape stays to be read
            for at, sent in (
                (opened, b"POST /webhook/events/bulk HTTP/1.1\r\nHost: x\r\nx-correlation-id: " + raw),
                (opened, b"GET /" + raw.replace(b" ", b"%20") + b" HTTP/1.1\r\nHost: x"),
                (opened, b"GET /webhook/events/bulk/" + escaped + b" HTTP/1.1\r\nHost: x"),
                (opened, raw + b" / HTTP/1.1\r\nHost: x"),
                (opened, b"POST /webhook/events/bulk HTTP/1.1\r\nHost: x\r\nContent-Encoding: " + raw),
                (opened, b"POST /webhook/events/bulk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + raw),
                (guarded, b"POST /webhook/events/bulk?sender=" + escaped + b" HTTP/1.1\r\nHost: x"),
                (guarded, b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nx-api-key: " + raw),
                (guarded, b"POST /webhook/events HTTP/1.1\r\nHost: x\r\ntraceparent: " + raw),
            ):
                await _thrown(at, sent + b"\r\nConnection: close\r\n\r\n")
        log.warning("the_end")
    written = stream.getvalue()
    assert {word for word in ("request_refused", "bulk_answered", "the_end") if word in written} == {
        "request_refused", "bulk_answered", "the_end",
    }  # fmt: skip
    for line in re.split("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", written.rstrip("\n")):
        assert "\x1b" not in line
        assert "forged" not in line, line
        if form == "json":
            assert isinstance(json.loads(line), dict), line
        else:
            assert re.match(r"\d\d:\d\d:\d\d (debug|info|warn|error) |  ", line), line
    assert "Traceback" not in written


async def _thrown(at: Running, sent: bytes) -> None:
    """Send bytes, and wait until the connection is closed."""
    host, port = at.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(15):
            await reader.read()
    except ConnectionError:
        pass  # refused before it was read to its end
    finally:
        writer.close()
