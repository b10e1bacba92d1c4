"""Who may come in: keys, signatures, sources, scopes, the internal port; and what a request without them opens."""

import asyncio
import gzip
import hashlib
import hmac
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from gateway.senders import key_hash
from tests.integration.gateway.conftest import Answer, Running, Start
from tests.integration.gateway.events import array, facebook, tiktok

BULK, ONE = "/webhook/events/bulk", "/webhook/events"
ACME, NEXT, READER, OLD = "fgk_acme", "fgk_acme_next", "fgk_reader", "fgk_old"
WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
META_SECRET, TIKTOK_SECRET = "meta-app-secret-0123", "tiktok-app-secret-01"
SENDERS = f"""
[senders.acme]
sources = ["facebook"]
key_hashes = ["{key_hash(ACME)}", "{key_hash(NEXT)}"]

[senders.reader]
scopes = ["read"]
key_hashes = ["{key_hash(READER)}"]

[senders.old]
key_hashes = ["{key_hash(OLD)}"]
expires = 2020-01-01T00:00:00Z

[senders.hooks]
signature = "standard-webhooks"
secrets = [{{ variable = "HOOKS_SECRET" }}]

[senders.meta]
sources = ["facebook"]
signature = "meta"
secrets = [{{ variable = "META_SECRET" }}]
verify_token = {{ variable = "META_TOKEN" }}

[senders.tiktok]
sources = ["tiktok"]
signature = "tiktok"
secrets = [{{ variable = "TIKTOK_SECRET" }}]
"""


@pytest.fixture
async def guarded(start: Start, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A gateway with senders."""
    for name, value in {
        "HOOKS_SECRET": WEBHOOK_SECRET,
        "META_SECRET": META_SECRET,
        "META_TOKEN": "a token",
        "TIKTOK_SECRET": TIKTOK_SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    return await start(senders=SENDERS)


def _refused(answer: Answer, status: int, words: str) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert words in answer.json["detail"]
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="floodgate"'


def _standard(body: bytes, *, at_s: float | None = None, message_id: str = "msg_1") -> dict[str, str]:
    at = datetime.fromtimestamp(int(time.time() if at_s is None else at_s), UTC)
    signature = Webhook(WEBHOOK_SECRET).sign(message_id, at, body.decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def _meta(body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(META_SECRET.encode(), body, hashlib.sha256).hexdigest()}


def _tiktok(body: bytes, *, at_s: float | None = None) -> dict[str, str]:
    at = int(time.time() if at_s is None else at_s)
    told = hmac.new(TIKTOK_SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"TikTok-Signature": f"t={at},s={told}"}


@pytest.mark.parametrize("path", [BULK, ONE])
async def test_without_a_credential_nothing_is_taken(guarded: Running, path: str) -> None:
    _refused(await guarded.post(array(facebook()), path=path), 401, "send an API key in the header x-api-key")
    _refused(await guarded.post(b"not even JSON", path=path), 401, "send an API key")
    assert await guarded.stored("facebook") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": ""},
        {"x_api_key": ACME[:-1]},
        {"x_api_key": ACME + " "},
        {"x_api_key": key_hash(ACME)},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {ACME}"},
        {"Authorization": "Bearer \u00e9"},
        {"x_api_key": "wrong", "Authorization": f"Bearer {ACME}"},
    ],
)
async def test_a_wrong_credential_is_401(guarded: Running, headers: dict[str, str]) -> None:
    if headers.get("x_api_key", "").endswith(" "):
        headers = {"x_api_key": ACME + "\u00a0"}  # a blank at the end is no part of a header's value
    _refused(await guarded.post(array(facebook()), **headers), 401, "The sender is not known")
    assert await guarded.stored("facebook") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": ACME},
        {"x_api_key": NEXT},
        {"Authorization": f"Bearer {ACME}"},
        {"authorization": f"bearer  {NEXT}"},
    ],
)
async def test_both_keys_of_a_sender_are_taken_in_either_header(guarded: Running, headers: dict[str, str]) -> None:
    assert (await guarded.post(array(facebook()), **headers)).status == 200
    assert (await guarded.post(array(facebook())[1:-1], path=ONE, **headers)).status == 200
    assert {message.headers["Floodgate-Sender"] for message in await guarded.stored("facebook")} == {"acme"}


async def test_the_senders_name_is_in_the_log_and_the_metrics_and_its_key_is_not(guarded: Running) -> None:
    await guarded.post(array(facebook(), tiktok()), x_api_key=ACME)
    await guarded.post(array(facebook()), x_api_key="a-wrong-key")
    logged = [entry for entry in guarded.log.entries if entry["event"] == "bulk_answered"]
    assert [entry["sender"] for entry in logged] == ["acme"]
    metrics = (await guarded.request("GET", "/metrics", headers={"x-api-key": READER})).body.decode()
    assert 'gateway_sender_events_total{sender="acme"} 1.0' in metrics
    assert 'gateway_sender_requests_total{sender="acme",status="200"} 1.0' in metrics
    assert 'gateway_requests_refused_total{reason="unauthenticated"} 1.0' in metrics
    for text in (metrics, repr(guarded.log.entries)):
        assert ACME not in text
        assert "a-wrong-key" not in text


async def test_who_is_refused_is_in_the_log_and_the_metrics_by_name(guarded: Running) -> None:
    await guarded.post(array(facebook()), x_api_key=OLD)
    await guarded.post(array(facebook()), x_api_key=READER)
    await guarded.post(array(facebook()), x_api_key="a-wrong-key")
    logged = [entry for entry in guarded.log.entries if entry["event"] == "request_refused"]
    assert [entry["sender"] for entry in logged] == ["old", "reader", None]
    metrics = (await guarded.request("GET", "/metrics", headers={"x-api-key": READER})).body.decode()
    assert 'gateway_sender_requests_total{sender="old",status="401"} 1.0' in metrics
    assert 'gateway_sender_requests_total{sender="reader",status="403"} 1.0' in metrics
    assert 'gateway_sender_events_total{sender="old"} 0.0' in metrics


async def test_an_expired_key_is_401(guarded: Running) -> None:
    _refused(await guarded.post(array(facebook()), x_api_key=OLD), 401, "expired on 2020-01-01")


async def test_events_of_a_source_that_is_not_the_senders_are_refused_alone(guarded: Running) -> None:
    mine, other = facebook(), tiktok()
    answer = await guarded.post(array(mine, other), x_api_key=ACME)
    assert (answer.status, answer.json["processed"], answer.json["failed"]) == (200, 1, 1)
    assert answer.json["errorDetails"] == [
        {
            "index": 1,
            "eventId": other["eventId"],
            "code": "forbidden_source",
            "field": "source",
            "message": "This sender may not send events of this source",
            "retryable": False,
        }
    ]
    assert await guarded.stored("tiktok") == []


@pytest.mark.parametrize("path", [BULK, ONE])
async def test_a_request_with_nothing_but_another_source_is_403(guarded: Running, path: str) -> None:
    body = array(tiktok()) if path == BULK else array(tiktok())[1:-1]
    answer = await guarded.post(body, path=path, x_api_key=ACME)
    assert (answer.status, answer.json["success"], answer.json["failed"]) == (403, False, 1)
    assert await guarded.stored("tiktok") == []


async def test_a_scope_that_is_missing_is_403(guarded: Running) -> None:
    _refused(await guarded.post(array(facebook()), x_api_key=READER), 403, "reader has no scope ingest; it has read")
    for path in (f"{BULK}/an-id", "/metrics"):
        _refused(await guarded.get(path), 401, "send an API key")
        _refused(
            await guarded.request("GET", path, headers={"x-api-key": ACME}),
            403,
            "acme has no scope read; it has ingest",
        )
    assert (await guarded.request("GET", "/metrics", headers={"x-api-key": READER})).status == 200


async def test_health_is_told_to_anyone(guarded: Running) -> None:
    assert (await guarded.get("/health/live")).status == 200
    assert (await guarded.get("/health/ready")).status == 200


async def test_each_platforms_signature_is_taken(guarded: Running) -> None:
    body = array(facebook())
    assert (await guarded.post(body, path=f"{BULK}?sender=hooks", **_standard(body))).status == 200
    assert (await guarded.post(body, path=f"{BULK}?sender=meta", **_meta(body))).status == 200
    body = array(tiktok())
    assert (await guarded.post(body, **_tiktok(body))).status == 200  # the only sender of its scheme needs no name
    senders = [message.headers["Floodgate-Sender"] for message in await guarded.stored("facebook")]
    assert sorted(senders) == ["hooks", "meta"]


async def test_a_signature_is_over_the_body_as_it_came(guarded: Running) -> None:
    body = array(facebook())
    packed = gzip.compress(body)
    over_raw = await guarded.post(packed, path=f"{BULK}?sender=meta", Content_Encoding="gzip", **_meta(packed))
    assert (over_raw.status, over_raw.json["processed"]) == (200, 1)
    over_plain = await guarded.post(packed, path=f"{BULK}?sender=meta", Content_Encoding="gzip", **_meta(body))
    _refused(over_plain, 401, "does not fit the body")


async def test_a_body_changed_by_one_byte_is_401_whatever_it_is(guarded: Running) -> None:
    body = array(facebook())
    for changed in (body.replace(b"a", b"b", 1), body + b" ", body[:-1], b"", b"{"):
        answer = await guarded.post(changed, path=f"{BULK}?sender=meta", **_meta(body))
        _refused(answer, 401, "does not fit the body")
    assert await guarded.stored("facebook") == []


@pytest.mark.parametrize("changed_at", [0, 1_048_575, 1_048_576, 2_500_000, -1])
async def test_of_a_large_body_every_part_is_signed(guarded: Running, changed_at: int) -> None:
    body = b" " * 1_200_000 + array(facebook()) + b" " * 1_500_000  # summed in a thread, a megabyte at a time
    signed = _standard(body)
    changed = bytearray(body)
    changed[changed_at] = ord("\n")  # as good JSON as before
    _refused(await guarded.post(bytes(changed), path=f"{BULK}?sender=hooks", **signed), 401, "does not fit the body")
    assert (await guarded.post(body, path=f"{BULK}?sender=hooks", **signed)).status == 200


async def test_a_large_signed_body_waits_for_nobodys_thread(guarded: Running) -> None:
    body = array(facebook()) + b" " * 2_500_000
    held = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))  # odd bodies are split in it, for seconds
    holding = loop.run_in_executor(None, held.wait)
    try:
        assert (await guarded.post(body, path=f"{BULK}?sender=hooks", **_standard(body))).status == 200
    finally:
        held.set()
        await holding


async def test_nothing_is_decompressed_before_its_signature_was_checked(guarded: Running) -> None:
    broken = await guarded.post(b"no gzip", path=f"{BULK}?sender=meta", Content_Encoding="gzip", **_meta(b"other"))
    _refused(broken, 401, "does not fit the body")
    signed = await guarded.post(b"no gzip", path=f"{BULK}?sender=meta", Content_Encoding="gzip", **_meta(b"no gzip"))
    _refused(signed, 400, "not valid gzip")


@pytest.mark.parametrize("age_s", [400, -400])
async def test_an_old_or_future_timestamp_is_401(guarded: Running, age_s: int) -> None:
    body, at_s = array(facebook()), time.time() - age_s
    for path, headers in (("hooks", _standard(body, at_s=at_s)), ("tiktok", _tiktok(body, at_s=at_s))):
        _refused(await guarded.post(body, path=f"{BULK}?sender={path}", **headers), 401, "and 300 s is the most")


async def test_a_signature_opens_only_the_sender_it_is_of(guarded: Running) -> None:
    body = array(facebook())
    _refused(await guarded.post(body, path=f"{BULK}?sender=tiktok", **_meta(body)), 401, "TikTok-Signature must be")
    _refused(await guarded.post(body, path=f"{BULK}?sender=hooks", **_tiktok(body)), 401, "webhook-id")
    for name in ("acme", "nobody", "", "meta%00"):
        _refused(await guarded.post(body, path=f"{BULK}?sender={name}", **_meta(body)), 401, "names no sender here")
    _refused(await guarded.post(body, **_meta(body), **_tiktok(body)), 401, "name the sender")


async def test_a_replay_inside_the_window_is_taken_and_its_events_are_the_same(guarded: Running) -> None:
    body = array(facebook())
    headers = _standard(body)
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
            _refused(await guarded.get(f"{path}?{query}{token}"), 403, "hub.verify_token")
        _refused(await guarded.get(f"{path}?{query.replace('subscribe', 'other')}a%20token"), 403, "hub.mode")
        _refused(await guarded.get(f"{path}?{query}a%20token&sender=acme"), 403, "hub.verify_token")
        _refused(await guarded.get(f"{path}?{query.replace('1158201444', '%0A')}a%20token"), 400, "hub.challenge")


async def test_an_internal_port_takes_over_what_is_read(start: Start) -> None:
    running = await start(senders=SENDERS.split("[senders.hooks]", maxsplit=1)[0], internal_port=0)
    public, internal = running.gateway.url, running.gateway.internal_url
    assert public != internal
    for path in ("/metrics", f"{BULK}/an-id"):
        assert (await running.request("GET", path, headers={"x-api-key": READER})).status == 404
    running.gateway.url = internal
    assert (await running.get("/metrics")).status == 200
    _refused(await running.get(f"{BULK}/an-id"), 401, "send an API key")
    assert (await running.get("/health/ready")).status == 200
    assert (await running.post(array(facebook()), x_api_key=ACME)).status == 404


async def test_an_open_gateway_says_so(start: Start) -> None:
    running = await start()
    assert [entry["log_level"] for entry in running.log.entries if entry["event"] == "gateway_open"] == ["warning"]
    assert (await running.post(array(facebook()))).status == 200
    assert "Floodgate-Sender" not in (await running.stored("facebook"))[0].headers


ADMIN = "fgk_admin"


async def test_the_console_shows_its_page_to_anyone_its_data_to_readers_and_acts_for_admins(start: Start) -> None:
    running = await start(
        senders=f"""
        [senders.acme]
        key_hashes = ["{key_hash(ACME)}"]
        [senders.reader]
        scopes = ["read"]
        key_hashes = ["{key_hash(READER)}"]
        [senders.admin]
        scopes = ["read", "admin"]
        key_hashes = ["{key_hash(ADMIN)}"]
        """
    )
    assert (await running.get("/")).status == 200

    async def status(method: str, path: str, key: str | None) -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return (await running.request(method, path, headers=headers, json={} if method == "POST" else None)).status

    for path in ("/console/requests", "/console/dead-letters"):
        assert [await status("GET", path, key) for key in (None, ACME, READER, ADMIN)] == [401, 403, 200, 200]
    drop = "/console/dead-letters/drop"
    assert [await status("POST", drop, key) for key in (None, ACME, READER, ADMIN)] == [401, 403, 403, 200]
