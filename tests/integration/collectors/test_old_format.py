"""What an earlier release has left in JetStream: today's programs read all of it.

`format_1.json` was recorded from the gateway and the collector of commit 136727b, before senders and partitions. It is
never written anew: a message is kept for a week, and a dead letter for as long as nobody looks at it.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from streams.parked import ParkedLetter
from streams.publisher import Publisher
from streams.reader import StoredMessage
from streams.receipts import Receipts
from streams.settings import PublishSettings
from tests.integration.collectors.rig import Rig, until

RECORDED: Final[dict[str, list[dict[str, Any]]]] = json.loads(
    Path(__file__).with_name("format_1.json").read_text(encoding="utf-8")
)
SINGLES: Final = [f"old-single-{at}" for at in range(6)]


async def test_messages_of_format_1_are_stored_as_their_gateway_meant_them(collecting: Rig) -> None:
    for stream in ("FACEBOOK_EVENTS", "TIKTOK_EVENTS"):
        for message in RECORDED[stream]:
            to = collecting.prefix.lower() + message["subject"]
            await collecting.send_raw(message["body"].encode(), message["headers"], to=to)

    async def ledger() -> dict[str, tuple[int, int, int]]:
        rows = await collecting.fetch(
            "SELECT correlation_id, sum(events), sum(inserted), sum(dead_lettered) FROM batches GROUP BY 1"
        )
        return {row[0]: row[1:] for row in rows}

    expected = {"old-bulk": (4, 4, 0), "old-dead": (1, 0, 1), **dict.fromkeys(SINGLES, (1, 1, 0))}
    async with collecting.collector(), collecting.collector(source="tiktok"):

        async def all_stored() -> bool:
            return set(await ledger()) == set(expected)

        await until(all_stored)
    assert await ledger() == expected
    assert await collecting.fetch("SELECT DISTINCT sender FROM batches") == [(None,)]
    sent = {
        event["eventId"]: event["data"]
        for stream in ("FACEBOOK_EVENTS", "TIKTOK_EVENTS")
        for message in RECORDED[stream]
        for event in json.loads(message["body"])
        if "data" in event
    }
    stored = await collecting.fetch("SELECT event_id, data::text FROM events")
    assert {event_id: json.loads(data) for event_id, data in stored} == sent
    assert await collecting.fetch("SELECT extra::text FROM events WHERE extra IS NOT NULL") == [
        ('{"campaign":"of tomorrow"}',)
    ]
    assert await collecting.fetch("SELECT amount::text, count(*) FROM revenue GROUP BY 1") == [("12.30", 2)]
    # The bad one is buried again, and its letter is the one that was recorded.
    [buried] = await collecting.dead_letters()
    assert buried.headers is not None
    assert (buried.headers["Nats-Msg-Id"], buried.headers["Floodgate-Reason"]) == ("old-bad:dead:0", "undecodable")


async def test_a_record_of_an_old_request_and_an_old_dead_letter_are_read(collecting: Rig) -> None:
    [record], [letter] = RECORDED["RECEIPTS"], RECORDED["DEAD_LETTERS"]
    to = collecting.names.receipts("old-bulk")
    assert to == collecting.prefix.lower() + record["subject"]
    await collecting.send_raw(record["body"].encode(), record["headers"], to=to)
    publisher = Publisher(collecting.connection, PublishSettings(), metrics=None)
    [read] = await Receipts(collecting.connection, publisher, collecting.names).read("old-bulk")
    assert (read.accepted, read.failed, read.unconfirmed) == ({"facebook": 2, "tiktok": 2}, 1, [])

    about = ParkedLetter.read(
        StoredMessage("DEAD_LETTERS", 1, letter["subject"], letter["headers"], b"", datetime.now(UTC))
    )
    assert (about.source, about.reason, about.correlation_id) == ("tiktok", "undecodable", "old-dead")
    assert (about.origin_id, about.index, about.is_message, about.attempts) == ("old-bad", 0, False, 1)
