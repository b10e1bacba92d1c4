"""Signed bodies: each scheme, what a signature is over, for how long it holds, and what it opens."""

import asyncio
import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.gateway.conftest import Running
from tests.integration.gateway.events import array, facebook, tiktok
from tests.integration.gateway.guarding import BULK, ONE, by_meta, by_standard_webhooks, by_tiktok, refused


async def test_each_platforms_signature_is_taken(guarded: Running) -> None:
    body = array(facebook())
    assert (await guarded.post(body, path=f"{BULK}?sender=hooks", **by_standard_webhooks(body))).status == 200
    assert (await guarded.post(body, path=f"{BULK}?sender=meta", **by_meta(body))).status == 200
    body = array(tiktok())
    assert (await guarded.post(body, **by_tiktok(body))).status == 200  # the only sender of its scheme needs no name
    senders = [message.headers["Floodgate-Sender"] for message in await guarded.stored("facebook")]
    assert sorted(senders) == ["hooks", "meta"]


async def test_a_signature_is_over_the_body_as_it_came(guarded: Running) -> None:
    body = array(facebook())
    packed = gzip.compress(body)
    over_raw = await guarded.post(packed, path=f"{BULK}?sender=meta", Content_Encoding="gzip", **by_meta(packed))
    assert (over_raw.status, over_raw.json["processed"]) == (200, 1)
    over_plain = await guarded.post(packed, path=f"{BULK}?sender=meta", Content_Encoding="gzip", **by_meta(body))
    refused(over_plain, 401, "does not fit the body")


async def test_a_body_changed_by_one_byte_is_401_whatever_it_is(guarded: Running) -> None:
    body = array(facebook())
    for changed in (body.replace(b"a", b"b", 1), body + b" ", body[:-1], b"", b"{"):
        answer = await guarded.post(changed, path=f"{BULK}?sender=meta", **by_meta(body))
        refused(answer, 401, "does not fit the body")
    assert await guarded.stored("facebook") == []


@pytest.mark.parametrize("changed_at", [0, 1_048_575, 1_048_576, 2_500_000, -1])
async def test_of_a_large_body_every_part_is_signed(guarded: Running, changed_at: int) -> None:
    body = b" " * 1_200_000 + array(facebook()) + b" " * 1_500_000  # summed in a thread, a megabyte at a time
    signed = by_standard_webhooks(body)
    changed = bytearray(body)
    changed[changed_at] = ord("\n")  # as good JSON as before
    refused(await guarded.post(bytes(changed), path=f"{BULK}?sender=hooks", **signed), 401, "does not fit the body")
    assert (await guarded.post(body, path=f"{BULK}?sender=hooks", **signed)).status == 200


async def test_a_large_signed_body_waits_for_nobodys_thread(guarded: Running) -> None:
    body = array(facebook()) + b" " * 2_500_000
    held = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))  # odd bodies are split in it, for seconds
    holding = loop.run_in_executor(None, held.wait)
    try:
        async with asyncio.timeout(10):
            answer = await guarded.post(body, path=f"{BULK}?sender=hooks", **by_standard_webhooks(body))
        assert answer.status == 200
    finally:
        held.set()
        await holding


async def test_nothing_is_decompressed_before_its_signature_was_checked(guarded: Running) -> None:
    broken = await guarded.post(b"no gzip", path=f"{BULK}?sender=meta", Content_Encoding="gzip", **by_meta(b"other"))
    refused(broken, 401, "does not fit the body")
    signed = await guarded.post(b"no gzip", path=f"{BULK}?sender=meta", Content_Encoding="gzip", **by_meta(b"no gzip"))
    refused(signed, 400, "not valid gzip")


@pytest.mark.parametrize("age_s", [400, -400])
async def test_an_old_or_future_timestamp_is_401(guarded: Running, age_s: int) -> None:
    body, at_s = array(facebook()), time.time() - age_s
    for path, headers in (("hooks", by_standard_webhooks(body, at_s=at_s)), ("tiktok", by_tiktok(body, at_s=at_s))):
        refused(await guarded.post(body, path=f"{BULK}?sender={path}", **headers), 401, "and 300 s is the most")


async def test_a_signature_opens_only_the_sender_it_is_of(guarded: Running) -> None:
    body = array(facebook())
    refused(await guarded.post(body, path=f"{BULK}?sender=tiktok", **by_meta(body)), 401, "TikTok-Signature must be")
    refused(await guarded.post(body, path=f"{BULK}?sender=hooks", **by_tiktok(body)), 401, "webhook-id")
    for name in ("acme", "nobody", "", "meta%00"):
        refused(await guarded.post(body, path=f"{BULK}?sender={name}", **by_meta(body)), 401, "names no sender here")
    refused(await guarded.post(body, **by_meta(body), **by_tiktok(body)), 401, "name the sender")


async def test_a_replay_inside_the_window_is_taken_and_its_events_are_the_same(guarded: Running) -> None:
    body = array(facebook())
    headers = by_standard_webhooks(body)
    answers = [await guarded.post(body, path=f"{BULK}?sender=hooks", **headers) for _ in range(3)]
    assert [(answer.status, answer.json["processed"]) for answer in answers] == [(200, 1)] * 3
    assert len(set(await guarded.stored_ids("facebook"))) == 1  # which the tables then hold once


async def test_metas_handshake_is_answered_with_its_challenge_and_the_right_token_only(guarded: Running) -> None:
    query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    for path in (BULK, ONE):
        good = await guarded.get(f"{path}?{query}a%20token")
        assert (good.status, good.body) == (200, b"1158201444")
        assert good.headers["Content-Type"].startswith("text/plain")
        for token in ("", "another", "a%20token%20", "%FF"):
            refused(await guarded.get(f"{path}?{query}{token}"), 403, "hub.verify_token")
        refused(await guarded.get(f"{path}?{query.replace('subscribe', 'other')}a%20token"), 403, "hub.mode")
        refused(await guarded.get(f"{path}?{query}a%20token&sender=acme"), 403, "hub.verify_token")
        refused(await guarded.get(f"{path}?{query.replace('1158201444', '%0A')}a%20token"), 400, "hub.challenge")
