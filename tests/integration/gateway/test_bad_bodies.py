"""Bodies too large, packed, or of another kind: refused whole, in time, and with the limit that they met.

One gateway serves the whole file, as one that was sent nonsense must take the next event all the same.
"""

import gzip
import json
import sys
import uuid
import zlib
from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.gateway.conftest import Running
from tests.integration.gateway.events import array, facebook, text, tiktok
from tests.integration.gateway.nonsense import (
    BULK,
    MAX_BODY_BYTES,
    MAX_EVENTS,
    SINGLE,
    assert_problem,
    assert_still_serves,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.asyncio(loop_scope="module")


TOO_MANY = [tiktok() for _ in range(MAX_EVENTS + 1)]
TOO_MANY_BODIES: dict[str, tuple[bytes, str]] = {
    "array": (array(*TOO_MANY), "application/json"),
    "object": (b'{"events": ' + array(*TOO_MANY) + b"}", "application/json"),
    "ndjson": (b"\n".join(map(text, TOO_MANY)), "application/x-ndjson"),
    "tiny_elements": (b"[" + b"1," * 1_500_000 + b"1]", "application/json"),
    "only_commas": (b"[" + b"," * 3_000_000 + b"]", "application/json"),
}


@pytest.mark.parametrize(
    ("form", "path"),
    [(form, path) for form in TOO_MANY_BODIES for path in (BULK, SINGLE) if (form, path) != ("object", SINGLE)],
)
async def test_one_event_too_many_is_413_and_nothing_is_taken(shared_gateway: Running, form: str, path: str) -> None:
    body, media = TOO_MANY_BODIES[form]
    answer = await shared_gateway.post(body, path=path, Content_Type=media)
    assert str(MAX_EVENTS) in assert_problem(answer, 413)["detail"]
    assert await shared_gateway.stored_ids("tiktok", answer.correlation_id) == []
    await assert_still_serves(shared_gateway)


async def test_as_many_events_as_allowed_are_taken(shared_gateway: Running) -> None:
    answer = await shared_gateway.post(array(*TOO_MANY[:MAX_EVENTS]))
    assert (answer.status, answer.json["processed"]) == (200, MAX_EVENTS)


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_a_body_over_the_limit_is_413_before_it_is_decoded(shared_gateway: Running, chunked: bool) -> None:
    body = b"[" + b" " * MAX_BODY_BYTES + b"]"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    answer = await shared_gateway.post(pieces() if chunked else body)
    assert str(MAX_BODY_BYTES) in assert_problem(answer, 413)["detail"]
    await assert_still_serves(shared_gateway)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("coding", COMPRESS)
async def test_a_bomb_is_413_at_the_limit(shared_gateway: Running, coding: str) -> None:
    bomb = COMPRESS[coding](b"[" + b" " * (16 * MAX_BODY_BYTES))
    assert len(bomb) < 100_000
    answer = await shared_gateway.post(bomb, Content_Encoding=coding)
    assert "after decompression" in assert_problem(answer, 413)["detail"]
    await assert_still_serves(shared_gateway)


@pytest.mark.parametrize("path", [BULK, SINGLE])
@pytest.mark.parametrize("coding", COMPRESS)
async def test_a_compressed_body_is_taken(shared_gateway: Running, coding: str, path: str) -> None:
    events = [facebook(), facebook()]
    answer = await shared_gateway.post(COMPRESS[coding](array(*events)), path=path, Content_Encoding=coding.upper())
    assert (answer.status, answer.json["processed"]) == (200, 2)
    assert await shared_gateway.stored_ids("facebook", answer.correlation_id) == [event["eventId"] for event in events]


@pytest.mark.parametrize("coding", COMPRESS)
@pytest.mark.parametrize("damage", ["plain", "truncated", "trailing_garbage", "empty"])
async def test_a_broken_encoding_is_400(shared_gateway: Running, coding: str, damage: str) -> None:
    whole = COMPRESS[coding](array(facebook()))
    body = {
        "plain": array(facebook()),
        "truncated": whole[:-5],
        "trailing_garbage": whole + b"garbage",
        "empty": b"",
    }[damage]
    answer = await shared_gateway.post(body, Content_Encoding=coding)
    assert_problem(answer, 400)
    assert await shared_gateway.stored_ids("facebook", answer.correlation_id) == []
    await assert_still_serves(shared_gateway)


@pytest.mark.parametrize("path", [BULK, SINGLE])
@pytest.mark.parametrize(
    "media",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "nonsense",
        "application/octet-stream",
    ],
)
async def test_a_media_type_not_spoken_here_is_415(shared_gateway: Running, media: str, path: str) -> None:
    answer = await shared_gateway.post(array(facebook()), path=path, Content_Type=media)
    assert "application/json" in assert_problem(answer, 415)["detail"]


@pytest.mark.parametrize(
    "media", ["application/json; charset=UTF-8", "Application/JSON", "text/json", 'application/json;charset="utf-8"']
)
async def test_json_by_any_of_its_names_is_taken(shared_gateway: Running, media: str) -> None:
    answer = await shared_gateway.post(array(facebook()), Content_Type=media)
    assert answer.status == 200


async def test_a_body_without_a_media_type_is_taken_as_json(shared_gateway: Running) -> None:
    answer = await shared_gateway.request(
        "POST", BULK, data=array(facebook()), headers={}, skip_auto_headers=("Content-Type",)
    )
    assert answer.status == 200


@pytest.mark.parametrize("coding", ["br", "compress", "gzip, gzip", "nonsense", ""])
async def test_an_unknown_encoding_is_415(shared_gateway: Running, coding: str) -> None:
    answer = await shared_gateway.post(array(facebook()), Content_Encoding=coding)
    assert "gzip, deflate, zstd" in assert_problem(answer, 415)["detail"]


@pytest.mark.parametrize(
    "sent", ["a b", "a\tb", "é", "x" * 129, "-starts-with-a-dash", "a;drop", "a\u2028b", "{}", "a%0d%0ab"]
)
async def test_an_odd_correlation_id_is_replaced_by_a_new_one(shared_gateway: Running, sent: str) -> None:
    answer = await shared_gateway.post(array(facebook()), x_correlation_id=sent)
    assert answer.status == 200
    assert uuid.UUID(answer.correlation_id).version == 4
    assert answer.json["correlationId"] == answer.correlation_id
    assert sent not in json.dumps(shared_gateway.log.entries, default=str)


async def test_a_bom_before_the_body_is_no_harm(shared_gateway: Running) -> None:
    answer = await shared_gateway.post(b"\xef\xbb\xbf" + array(facebook()))
    assert (answer.status, answer.json["processed"]) == (200, 1)
