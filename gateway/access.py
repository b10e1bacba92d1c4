"""Who sends a request, and whether it may: by an API key, or by a signature over the body.

Invariant: nothing of a body is read before its sender is known by name, and nothing of a signed one is decompressed or
parsed before its signature was checked. Where senders are set, a request without one opens nothing.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from aiohttp import web

from gateway.problems import Refused
from gateway.scopes import Scope
from gateway.senders import ANYONE, Sender, Senders, key_digest
from gateway.signatures import BadSignature, Scheme, Seal, seal
from shared.outcomes import RefuseReason

KEY_HEADER: Final = "x-api-key"
SENDER_QUERY: Final = "sender"
"""Names a sender that signs: its platform is given the address with `?sender=<name>`."""

_BEARER: Final = "bearer "
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="floodgate"'}
_SIGNED_BY: Final = {
    Scheme.STANDARD_WEBHOOKS: "webhook-signature",
    Scheme.META: "X-Hub-Signature-256",
    Scheme.TIKTOK: "TikTok-Signature",
}
_MAX_CHALLENGE_CHARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request; with a seal, only once its body was checked against it."""

    sender: Sender
    seal: Seal | None = None

    def check(self) -> None:
        """After the raw body was fed to the seal. Raises Refused (401)."""
        if self.seal is not None:
            try:
                self.seal.check()
            except BadSignature as error:
                raise _unknown(str(error), self.sender) from error


class Access:
    """Knows the senders; None where the gateway runs open. `clock` gives the time in UTC."""

    def __init__(
        self,
        senders: Senders | None,
        *,
        tolerance_s: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._senders = senders
        self._tolerance_s = tolerance_s
        self._clock = clock

    @property
    def is_open(self) -> bool:
        """Whether anyone may do anything."""
        return self._senders is None

    @property
    def shakes_hands(self) -> bool:
        """Whether a sender here has a token for Meta's handshake."""
        return self._senders is not None and any(sender.verify_token for sender in self._senders.by_name.values())

    def require(self, request: web.BaseRequest, scope: Scope) -> Sender:
        """The sender whose key the request has. Raises Refused: 401 without a valid key, 403 without the scope."""
        if self._senders is None:
            return ANYONE
        key = _key_of(request)
        if key is None:
            raise _unknown(f"send an API key in the header {KEY_HEADER}, or as Authorization: Bearer")
        if (sender := self._senders.by_key.get(key_digest(key))) is None:
            raise _unknown("the API key is none that is valid here")
        self._refuse_expired(sender)
        if scope not in sender.scopes:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                RefuseReason.FORBIDDEN,
                f"{sender.name} has no scope {scope}; it has {', '.join(sorted(sender.scopes))}",
                sender=sender.name,
            )
        return sender

    def caller(self, request: web.BaseRequest) -> Caller:
        """Who wants to post events. Raises Refused: 401, or 403 without the scope to ingest."""
        if self._senders is None:
            return Caller(ANYONE)
        sender = self._signing(request, self._senders)
        if sender is None:
            return Caller(self.require(request, Scope.INGEST))
        self._refuse_expired(sender)
        assert sender.signature is not None  # noqa: S101 - `_signing` finds no other
        try:
            claim = seal(
                sender.signature,
                sender.secrets,
                request.headers,
                now_s=self._clock().timestamp(),
                tolerance_s=self._tolerance_s,
            )
        except BadSignature as error:
            raise _unknown(str(error), sender) from error
        return Caller(sender, claim)

    def handshake(self, request: web.BaseRequest) -> str:
        """Meta's check that an address is its subscriber's: the challenge to answer. Raises Refused (403)."""
        query = request.query
        token = query.get("hub.verify_token", "").encode("utf-8", "surrogateescape")
        senders = self._senders.by_name.values() if self._senders is not None else ()
        named = query.get(SENDER_QUERY)
        fits = [
            hmac.compare_digest(token, sender.verify_token.encode())
            for sender in senders
            if sender.verify_token is not None and named in {None, sender.name}
        ]
        challenge = query.get("hub.challenge", "")
        if query.get("hub.mode") != "subscribe" or not any(fits):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                RefuseReason.FORBIDDEN,
                "This is where Meta's hub.mode=subscribe is answered, with the hub.verify_token of a sender here",
            )
        if not 0 < len(challenge) <= _MAX_CHALLENGE_CHARS or not challenge.isascii() or not challenge.isprintable():
            raise Refused(
                HTTPStatus.BAD_REQUEST, RefuseReason.NOT_JSON, "hub.challenge is missing, or is no plain text"
            )
        return challenge

    def _signing(self, request: web.BaseRequest, senders: Senders) -> Sender | None:
        """The sender that should have signed this request; None where it is no signed one."""
        named = request.query.get(SENDER_QUERY)
        if named is not None:
            sender = senders.by_name.get(named)
            if sender is None or sender.signature is None:
                raise _unknown(f"?{SENDER_QUERY}= names no sender here that signs")
            return sender
        schemes = {scheme for scheme, header in _SIGNED_BY.items() if header in request.headers}
        if not schemes or _key_of(request) is not None:
            return None
        signing = [sender for sender in senders.by_name.values() if sender.signature in schemes]
        if len(signing) != 1:
            raise _unknown(f"name the sender whose signature this is: ?{SENDER_QUERY}=<name>")
        return signing[0]

    def _refuse_expired(self, sender: Sender) -> None:
        if sender.expires is not None and self._clock() >= sender.expires:
            raise _unknown(f"the credentials of {sender.name} expired on {sender.expires:%Y-%m-%d}", sender)


def _key_of(request: web.BaseRequest) -> str | None:
    if (key := request.headers.get(KEY_HEADER)) is not None:
        return key
    authorization = request.headers.get("Authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return None


def _unknown(why: str, sender: Sender | None = None) -> Refused:
    """`sender`: who it says it is."""
    return Refused(
        HTTPStatus.UNAUTHORIZED,
        RefuseReason.UNAUTHENTICATED,
        f"The sender is not known: {why}",
        dict(_CHALLENGE),
        sender=sender.name if sender is not None else None,
    )
