"""Signatures of senders over the raw body: Standard Webhooks, Meta, TikTok.

Invariant: a signature is judged by the bytes as they came over the wire, before anything is decompressed or parsed, and
compared in constant time. Which scheme a sender uses is in its settings, never in the request.

The schemes are HMAC-SHA256, and differ in what stands before the body, in how the secret is written, and in the header:
- Standard Webhooks (standardwebhooks.com, specification): `webhook-id.webhook-timestamp.body`, a base64 secret after
  `whsec_`, base64 signatures `v1,…` separated by blanks;
- Meta (Graph API, webhooks, "Validating payloads"): the body alone, with the app secret; `sha256=<hex>`. There is no
  time in it, so a request that was overheard can be sent again at any time; what it holds is then stored already;
- TikTok (webhooks, "Verification"): `t.body` with the client secret; `t=<seconds>,s=<hex>`.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]{1,12}")
_TIKTOK: Final = re.compile(r"t=([0-9]{1,12}),s=([0-9a-fA-F]{64})")
_META: Final = re.compile(r"sha256=([0-9a-fA-F]{64})")
_MAX_SIGNATURES: Final = 8
"""In one request; Standard Webhooks allows several while a secret is being changed."""
_MIN_SECRET_BYTES: Final = 16


class Scheme(StrEnum):
    """How a sender signs."""

    STANDARD_WEBHOOKS = "standard-webhooks"
    META = "meta"
    TIKTOK = "tiktok"


class BadSignature(Exception):
    """The request is not signed as its sender signs. The text says what is wrong, and holds nothing secret."""


class Seal:
    """A claim about a body that is still to come: fed with its raw bytes, then checked."""

    def __init__(self, secrets: Sequence[bytes], before_body: bytes, claimed: Sequence[bytes]) -> None:
        self._sums = [hmac.new(secret, before_body, "sha256") for secret in secrets]
        self._claimed = claimed

    def feed(self, chunks: Iterable[bytes]) -> None:
        """The next raw bytes of the body. May be called in a thread, one call at a time."""
        for chunk in chunks:
            for mac in self._sums:
                mac.update(chunk)

    def check(self) -> None:
        """After the last byte. Raises BadSignature where no secret of the sender gives what was claimed."""
        # Every pair is compared: how long it takes must not tell which one was near.
        fits = [hmac.compare_digest(mac.digest(), claimed) for mac in self._sums for claimed in self._claimed]
        if not any(fits):
            raise BadSignature("the signature does not fit the body and the sender's secret")


def seal(
    scheme: Scheme, secrets: Sequence[bytes], headers: Mapping[str, str], *, now_s: float, tolerance_s: float
) -> Seal:
    """The seal of a request, from its headers. Raises BadSignature where they are missing, malformed or too old."""
    return _SCHEMES[scheme].claim(secrets, headers, now_s, tolerance_s)


def secret_key(scheme: Scheme, text: str) -> bytes:
    """A secret, as its sender's platform shows it, as HMAC's key. Raises ValueError, which does not show it."""
    key = _SCHEMES[scheme].key(text.strip())
    if len(key) < _MIN_SECRET_BYTES:
        raise ValueError(f"has {len(key)} bytes; {_MIN_SECRET_BYTES} is the least that is safe")
    return key


def _standard_webhooks(secrets: Sequence[bytes], headers: Mapping[str, str], now_s: float, tolerance_s: float) -> Seal:
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not timestamp or "webhook-signature" not in headers:
        raise BadSignature("the headers webhook-id, webhook-timestamp and webhook-signature must all be there")
    _check_age(timestamp, now_s, tolerance_s)
    claimed = []
    for part in headers["webhook-signature"].split(" ")[:_MAX_SIGNATURES]:
        version, _, text = part.partition(",")
        if version == "v1":
            try:
                claimed.append(base64.b64decode(text, validate=True))
            except binascii.Error:
                continue  # another one may fit
    return Seal(secrets, f"{message_id}.{timestamp}.".encode("utf-8", "surrogateescape"), claimed)


def _meta(secrets: Sequence[bytes], headers: Mapping[str, str], _now_s: float, _tolerance_s: float) -> Seal:
    if (found := _META.fullmatch(headers.get("X-Hub-Signature-256", ""))) is None:
        raise BadSignature("the header X-Hub-Signature-256 must be there, as sha256=<64 hexadecimal digits>")
    return Seal(secrets, b"", [bytes.fromhex(found[1])])


def _tiktok(secrets: Sequence[bytes], headers: Mapping[str, str], now_s: float, tolerance_s: float) -> Seal:
    if (found := _TIKTOK.fullmatch(headers.get("TikTok-Signature", ""))) is None:
        raise BadSignature("the header TikTok-Signature must be there, as t=<seconds>,s=<64 hexadecimal digits>")
    _check_age(found[1], now_s, tolerance_s)
    return Seal(secrets, f"{found[1]}.".encode(), [bytes.fromhex(found[2])])


def _check_age(timestamp: str, now_s: float, tolerance_s: float) -> None:
    if _DIGITS.fullmatch(timestamp) is None:
        raise BadSignature("the signature's timestamp is no number of seconds since 1970")
    age_s = now_s - int(timestamp)
    if abs(age_s) > tolerance_s:
        when = "old" if age_s > 0 else "ahead of the clock here"
        raise BadSignature(f"the signature is {abs(age_s):.0f} s {when}, and {tolerance_s:.0f} s is the most")


def _whsec(text: str) -> bytes:
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("is no base64, with or without whsec_ before it") from None


@dataclass(frozen=True, slots=True)
class _Form:
    claim: Callable[[Sequence[bytes], Mapping[str, str], float, float], Seal]
    key: Callable[[str], bytes]


_SCHEMES: Final = {
    Scheme.STANDARD_WEBHOOKS: _Form(_standard_webhooks, _whsec),
    Scheme.META: _Form(_meta, str.encode),
    Scheme.TIKTOK: _Form(_tiktok, str.encode),
}
