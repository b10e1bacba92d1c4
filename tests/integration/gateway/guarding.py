"""The senders of a guarded gateway: their keys, their secrets, and what signs a body as they do."""

import hashlib
import hmac
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from standardwebhooks import Webhook

from gateway.senders import key_hash

if TYPE_CHECKING:
    from tests.integration.gateway.conftest import Answer

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
SECRETS = {
    "HOOKS_SECRET": WEBHOOK_SECRET,
    "META_SECRET": META_SECRET,
    "META_TOKEN": "a token",
    "TIKTOK_SECRET": TIKTOK_SECRET,
}
"""The environment that SENDERS names."""


def refused(answer: "Answer", status: int, words: str) -> None:
    """Holds an answer to be a problem of this status that says these words."""
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert words in answer.json["detail"]
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="floodgate"'


def by_standard_webhooks(body: bytes, *, at_s: float | None = None, message_id: str = "msg_1") -> dict[str, str]:
    """Headers that sign the body."""
    at = datetime.fromtimestamp(int(time.time() if at_s is None else at_s), UTC)
    signature = Webhook(WEBHOOK_SECRET).sign(message_id, at, body.decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def by_meta(body: bytes) -> dict[str, str]:
    """Headers that sign the body."""
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(META_SECRET.encode(), body, hashlib.sha256).hexdigest()}


def by_tiktok(body: bytes, *, at_s: float | None = None) -> dict[str, str]:
    """Headers that sign the body."""
    at = int(time.time() if at_s is None else at_s)
    told = hmac.new(TIKTOK_SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"TikTok-Signature": f"t={at},s={told}"}
