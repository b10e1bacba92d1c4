"""Signatures: what each platform signs is taken, and nothing else."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from gateway.signatures import BadSignature, Scheme, seal, secret_key

NOW_S = 1_795_000_000
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = "whsec_" + base64.b64encode(b"another-secret-another-secret-ab").decode()
APP_SECRET = "f00dbabe" * 4
BODY = b'{"eventId": "a", "name": "\xc3\xa9"}'

Signed = Callable[[bytes, int, str], dict[str, str]]


def standard(body: bytes, at_s: int = NOW_S, secret: str = SECRET, message_id: str = "msg_1") -> dict[str, str]:
    """As the specification's own library signs."""
    signature = Webhook(secret).sign(message_id, datetime.fromtimestamp(at_s, UTC), body.decode())
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": signature}


def meta(body: bytes, _at_s: int = NOW_S, secret: str = APP_SECRET) -> dict[str, str]:
    """As Meta documents it."""
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def tiktok(body: bytes, at_s: int = NOW_S, secret: str = APP_SECRET) -> dict[str, str]:
    """As TikTok documents it."""
    told = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return {"TikTok-Signature": f"t={at_s},s={told}"}


SCHEMES = [
    (Scheme.STANDARD_WEBHOOKS, standard, SECRET, OTHER),
    (Scheme.META, meta, APP_SECRET, "deadbeef" * 4),
    (Scheme.TIKTOK, tiktok, APP_SECRET, "deadbeef" * 4),
]
WITH_TIME = [scheme for scheme in SCHEMES if scheme[0] is not Scheme.META]


def _check(scheme: Scheme, headers: Mapping[str, str], *secrets: str, body: bytes = BODY, now_s: float = NOW_S) -> None:
    keys = [secret_key(scheme, secret) for secret in secrets]
    claim = seal(scheme, keys, headers, now_s=now_s, tolerance_s=300)
    for start in range(0, len(body), 5):
        claim.feed([body[start : start + 2], body[start + 2 : start + 5]])
    claim.check()


@pytest.mark.parametrize(("scheme", "sign", "secret", "other"), SCHEMES)
def test_what_the_platform_signs_is_taken(scheme: Scheme, sign: Signed, secret: str, other: str) -> None:
    _check(scheme, sign(BODY, NOW_S, secret), secret)
    _check(scheme, sign(BODY, NOW_S, secret), other, secret)
    _check(scheme, sign(b"{}", NOW_S, secret), secret, body=b"{}")


@pytest.mark.parametrize(("scheme", "sign", "secret", "other"), SCHEMES)
def test_a_wrong_secret_a_changed_byte_and_a_missing_end_are_refused(
    scheme: Scheme, sign: Signed, secret: str, other: str
) -> None:
    headers = sign(BODY, NOW_S, secret)
    with pytest.raises(BadSignature, match="does not fit"):
        _check(scheme, headers, other)
    for body in (BODY[:-1], BODY + b" ", b"", *(BODY[:at] + b"#" + BODY[at + 1 :] for at in range(len(BODY)))):
        with pytest.raises(BadSignature, match="does not fit"):
            _check(scheme, headers, secret, body=body)


@pytest.mark.parametrize(("scheme", "sign", "secret", "other"), WITH_TIME)
def test_a_timestamp_is_good_for_as_long_as_the_tolerance_in_both_directions(
    scheme: Scheme, sign: Signed, secret: str, other: str
) -> None:
    del other
    for age_s in (-300, 0, 300):
        _check(scheme, sign(BODY, NOW_S - age_s, secret), secret)
    for age_s, told in ((301, "301 s old, and 300 s is the most"), (-301, "301 s ahead of the clock")):
        with pytest.raises(BadSignature, match=told):
            _check(scheme, sign(BODY, NOW_S - age_s, secret), secret)


@pytest.mark.parametrize(("scheme", "sign", "secret", "other"), WITH_TIME)
def test_a_timestamp_that_was_changed_is_refused(scheme: Scheme, sign: Signed, secret: str, other: str) -> None:
    del other
    headers = sign(BODY, NOW_S - 10_000, secret)
    fresh = {name: value.replace(str(NOW_S - 10_000), str(NOW_S)) for name, value in headers.items()}
    with pytest.raises(BadSignature, match="does not fit"):
        _check(scheme, fresh, secret)


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        (Scheme.STANDARD_WEBHOOKS, {}),
        (Scheme.STANDARD_WEBHOOKS, {"webhook-id": "a", "webhook-timestamp": str(NOW_S)}),
        (Scheme.STANDARD_WEBHOOKS, standard(BODY) | {"webhook-timestamp": "now"}),
        (Scheme.STANDARD_WEBHOOKS, standard(BODY) | {"webhook-timestamp": "-1"}),
        (Scheme.STANDARD_WEBHOOKS, standard(BODY) | {"webhook-timestamp": "\u0661\u0667\u0669"}),
        (Scheme.STANDARD_WEBHOOKS, standard(BODY) | {"webhook-signature": ""}),
        (Scheme.STANDARD_WEBHOOKS, standard(BODY) | {"webhook-signature": "v1,"}),
        (Scheme.STANDARD_WEBHOOKS, standard(BODY) | {"webhook-signature": "v1,?? v2,AAAA"}),
        (Scheme.META, {}),
        (Scheme.META, {"X-Hub-Signature-256": ""}),
        (Scheme.META, {"X-Hub-Signature-256": "sha1=" + "0" * 40}),
        (Scheme.META, {"X-Hub-Signature-256": meta(BODY)["X-Hub-Signature-256"] + "00"}),
        (Scheme.TIKTOK, {}),
        (Scheme.TIKTOK, {"TikTok-Signature": f"t={NOW_S}"}),
        (Scheme.TIKTOK, {"TikTok-Signature": f"t={NOW_S},s="}),
        (Scheme.TIKTOK, {"TikTok-Signature": tiktok(BODY)["TikTok-Signature"].replace("t=", "t=0x")}),
    ],
)
def test_a_missing_or_malformed_signature_is_refused(scheme: Scheme, headers: dict[str, str]) -> None:
    secret = SECRET if scheme is Scheme.STANDARD_WEBHOOKS else APP_SECRET
    with pytest.raises(BadSignature):
        _check(scheme, headers, secret)


def test_one_of_several_signatures_is_enough_and_too_many_are_not_tried() -> None:
    good = standard(BODY)["webhook-signature"]
    wrong = standard(BODY, secret=OTHER)["webhook-signature"]
    _check(Scheme.STANDARD_WEBHOOKS, standard(BODY) | {"webhook-signature": f"v1a,x {wrong} {good}"}, SECRET)
    many = standard(BODY) | {"webhook-signature": " ".join([wrong] * 8 + [good])}
    with pytest.raises(BadSignature):
        _check(Scheme.STANDARD_WEBHOOKS, many, SECRET)


def test_the_message_id_is_signed_too() -> None:
    with pytest.raises(BadSignature, match="does not fit"):
        _check(Scheme.STANDARD_WEBHOOKS, standard(BODY) | {"webhook-id": "msg_2"}, SECRET)


@pytest.mark.parametrize(
    ("scheme", "secret", "told"),
    [
        (Scheme.STANDARD_WEBHOOKS, "whsec_??", "no base64"),
        (Scheme.STANDARD_WEBHOOKS, "whsec_AAAA", "3 bytes"),
        (Scheme.META, "short", "5 bytes"),
        (Scheme.TIKTOK, "", "0 bytes"),
    ],
)
def test_a_secret_that_is_none_is_named_but_not_shown(scheme: Scheme, secret: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        secret_key(scheme, secret)
    assert not secret or secret not in str(caught.value)
