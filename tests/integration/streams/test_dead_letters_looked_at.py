"""Dead letters on a real server, as an operator looks at them: list, filters, show, export, drop."""

import re
from base64 import b64decode
from pathlib import Path

import orjson
import pytest

from shared.errors import Fatal
from shared.outcomes import DeadLetterReason
from tests.integration.collectors.rig import Rig
from tests.integration.streams.putting_through import Answer, collecting, listed, park, run

__all__ = ["collecting"]  # a fixture


async def test_every_filter_chooses_and_all_of_them_together(collecting: Rig) -> None:
    await park(collecting, b"0", reason=DeadLetterReason.DATA_ERROR)
    await park(collecting, b"1", source="tiktok")
    await park(collecting, b"2", correlation_id="c-2")
    await park(collecting, b"3", correlation_id="c-2", source="tiktok")
    parked = {line["seq"]: line["parkedAt"] for line in await listed(collecting)}

    async def chosen(*filters: str) -> list[int]:
        return [line["seq"] for line in await listed(collecting, *filters)]

    assert await chosen() == [1, 2, 3, 4]
    assert await chosen("--source", "tiktok") == [2, 4]
    assert await chosen("--reason", "data_error") == [1]
    assert await chosen("--correlation-id", "c-2") == [3, 4]
    assert await chosen("--seq", "3") == [3]
    assert await chosen("--seq", "9") == []
    assert await chosen("--limit", "2") == [1, 2]
    assert await chosen("--since", parked[3]) == [3, 4]
    assert await chosen("--until", parked[3]) == [1, 2]
    assert await chosen("--since", parked[2], "--until", parked[4]) == [2, 3]
    assert await chosen("--since", "1h") == [1, 2, 3, 4]
    assert await chosen("--until", "1h") == []
    assert await chosen("--since", parked[2], "--source", "tiktok", "--correlation-id", "c-2") == [4]
    await run(collecting, "dead-letters", "drop", "--yes", "--source", "tiktok", "--limit", "1")
    assert await chosen() == [1, 3, 4]


async def test_a_list_of_many_with_long_holes_is_whole(collecting: Rig) -> None:
    for at in range(150):
        await park(collecting, b"%d" % at)
    for seq in (*range(1, 40), *range(45, 140)):
        await collecting.connection.jetstream.delete_msg(collecting.names.dead_letters_stream, seq)
    assert [line["seq"] for line in await listed(collecting)] == [*range(40, 45), *range(140, 151)]


async def test_the_list_is_a_table_with_the_reasons_counted_at_its_end(collecting: Rig) -> None:
    assert await run(collecting, "dead-letters", "list") == "no dead letters\n"
    await park(collecting, b"0", reason=DeadLetterReason.DATA_ERROR, error="x" * 300)
    await park(collecting, b"1")
    await park(collecting, b"2")
    lines = (await run(collecting, "dead-letters", "list")).splitlines()
    assert re.match(r" +SEQ  PARKED +SOURCE +REASON +EVENTS  CORRELATION ID +ERROR$", lines[0])
    assert re.match(r" +1  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  facebook +data_error +1  c-1 +x{69}…$", lines[1])
    assert lines[-1] == "3 dead letters: undecodable 2, data_error 1"


async def test_show_prints_what_is_known_and_the_body(collecting: Rig) -> None:
    await park(collecting, b'{"eventId":"e-1"}', received_at="2026-01-25T17:31:14+00:00")
    await park(collecting, b"\xff\xfe")
    said = await run(collecting, "dead-letters", "show", "1")
    assert "receivedAt     2026-01-25T17:31:14+00:00\n" in said
    assert said.endswith('\n\n{\n  "eventId": "e-1"\n}\n')
    said = await run(collecting, "dead-letters", "show", "2")
    assert "bodyEncoding   base64" in said
    assert said.endswith("\n\n//4=\n")
    with pytest.raises(Fatal, match="there is no dead letter 3"):
        await run(collecting, "dead-letters", "show", "3")


async def test_an_export_has_every_byte_and_never_writes_over_a_file(collecting: Rig, tmp_path: Path) -> None:
    await park(collecting, '{"name":"Zoë"}\n'.encode())
    await park(collecting, b"\xff\x00")
    file = tmp_path / "letters.ndjson"
    said = await run(collecting, "dead-letters", "export", str(file))
    assert said == f"2 dead letters written to {file}\n"
    first, second = map(orjson.loads, file.read_bytes().splitlines())
    assert (first["bodyEncoding"], first["body"]) == ("utf-8", '{"name":"Zoë"}\n')
    assert (second["bodyEncoding"], b64decode(second["body"])) == ("base64", b"\xff\x00")
    assert await run(collecting, "dead-letters", "export", "-") == file.read_text()
    with pytest.raises(Fatal, match="is there already"):
        await run(collecting, "dead-letters", "export", str(file))
    with pytest.raises(Fatal, match="can't be written"):
        await run(collecting, "dead-letters", "export", str(tmp_path / "nowhere" / "letters"))
    assert len(await collecting.dead_letters()) == 2


async def test_nothing_is_dropped_before_somebody_agrees_to_what_is_shown(collecting: Rig) -> None:
    await park(collecting, b"0")
    await park(collecting, b"1", source="tiktok")
    refusing, agreeing = Answer(False), Answer(True)
    assert "1 dead letter: undecodable 1" in await run(collecting, "dead-letters", "drop", "--seq", "1", "--dry-run")
    with pytest.raises(Fatal, match="nothing was removed"):
        await run(collecting, "dead-letters", "drop", asked=refusing)
    assert refusing.asked == ["Remove 2 dead letters for good?"]
    assert len(await collecting.dead_letters()) == 2
    said = await run(collecting, "dead-letters", "drop", "--source", "tiktok", asked=agreeing)
    assert said.endswith("1 dead letter: undecodable 1\n1 dead letter removed\n")
    assert [letter.data for letter in await collecting.dead_letters()] == [b"0"]
    await run(collecting, "dead-letters", "drop", "--yes")
    assert await collecting.dead_letters() == []
    assert await run(collecting, "dead-letters", "drop") == "no dead letters\n"


async def test_a_letter_of_a_foreign_publisher_can_be_looked_at_and_dropped(collecting: Rig) -> None:
    jetstream = collecting.connection.jetstream
    await jetstream.publish(collecting.names.dead_letters("facebook"), b"")
    (line,) = await listed(collecting)
    assert (line["source"], line["reason"], line["bytes"]) == ("facebook", "unknown", 0)
    await run(collecting, "dead-letters", "show", "1")
    with pytest.raises(Fatal, match="1 dead letter can't be replayed"):
        await run(collecting, "dead-letters", "replay")
    await run(collecting, "dead-letters", "drop", "--yes")
    assert await collecting.dead_letters() == []
