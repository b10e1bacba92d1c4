"""The senders: who may post what, how they prove who they are, and how much they may send.

Invariant: an API key is here as a hash only. A key is 256 random bits, so its SHA-256 can't be turned back by guessing,
and nothing slower is needed. Signing secrets, which HMAC needs in clear, are read from files or variables at start and
are shown nowhere.

Written as TOML, in SENDERS or in the file that SENDERS_FILE names: see docs/security.md.
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.scopes import Scope
from gateway.signatures import Scheme, secret_key
from shared.errors import SettingsError

MAX_SECRETS: Final = 2
"""Valid at a time, so that one can be changed for another without a refused request."""

ANY_SOURCE: Final = "*"
_HASH: Final = "sha256:"
NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,31}$"

Rate = Annotated[int, Field(ge=1, le=10**12)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretPlace(_Strict):
    """Where a secret stands: in a file, or in a variable."""

    file: Path | None = None
    variable: str | None = None

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.file is None) == (self.variable is None):
            raise ValueError("takes either a file or a variable")
        return self

    def read(self, environment: Mapping[str, str]) -> str:
        """The secret. Raises ValueError, which names the place, where it is not there."""
        if self.file is not None:
            try:
                return self.file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"can't read the secret in {self.file}: {error}") from None
        if not (secret := environment.get(self.variable or "")):
            raise ValueError(f"the variable {self.variable} with the secret is not set")
        return secret


class SenderEntry(_Strict):
    """A sender as it is written. Rates are for each gateway process, over a window of RATE_WINDOW."""

    sources: tuple[str, ...] = (ANY_SOURCE,)
    scopes: frozenset[Scope] = frozenset({Scope.INGEST})
    key_hashes: Annotated[
        tuple[Annotated[str, Field(pattern=rf"^{_HASH}[0-9a-f]{{64}}$")], ...], Field(max_length=2)
    ] = ()
    signature: Scheme | None = None
    secrets: Annotated[tuple[SecretPlace, ...], Field(max_length=MAX_SECRETS)] = ()
    verify_token: SecretPlace | None = None
    expires: AwareDatetime | None = None
    requests_per_second: Rate | None = None
    events_per_second: Rate | None = None
    bytes_per_second: Rate | None = None

    @model_validator(mode="after")
    def _can_prove_itself(self) -> Self:
        if self.signature is None and self.secrets:
            raise ValueError(f"secrets are for signatures: signature must be one of {', '.join(Scheme)}")
        if self.signature is not None and not self.secrets:
            raise ValueError("a sender that signs needs one or two secrets")
        if self.signature is None and not self.key_hashes:
            raise ValueError("needs key_hashes, or a signature with its secrets")
        if self.signature is not None and self.key_hashes:
            raise ValueError("takes key_hashes or a signature, not both: make two senders")
        if self.verify_token is not None and self.signature is not Scheme.META:
            raise ValueError("verify_token belongs to the handshake of signature meta")
        if self.signature is not None and self.scopes != {Scope.INGEST}:
            raise ValueError("a sender that signs can only ingest: reading takes a key")
        return self


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a request comes from. `sources` is None for all of them."""

    name: str
    sources: frozenset[str] | None = None
    scopes: frozenset[Scope] = frozenset(Scope)
    signature: Scheme | None = None
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    verify_token: str | None = field(default=None, repr=False)
    expires: datetime | None = None
    requests_per_second: int | None = None
    events_per_second: int | None = None
    bytes_per_second: int | None = None


ANYONE: Final = Sender("anyone")
"""Every sender of a gateway that runs open."""


@dataclass(frozen=True, slots=True)
class Senders:
    """All that are known: by name, and by the SHA-256 of their keys."""

    by_name: Mapping[str, Sender]
    by_key: Mapping[bytes, Sender]


def load(text: str, known_sources: Sequence[str], environment: Mapping[str, str]) -> Senders:
    """Read the senders. Raises SettingsError with a line for each thing that is wrong; reads the secrets' files."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"SENDERS is no TOML: {error}") from None
    entries = document.get("senders")
    if not isinstance(entries, dict) or not entries or len(document) > 1:
        raise SettingsError("SENDERS takes tables [senders.<name>], one a sender, and nothing else")
    wrong: list[str] = []
    by_name: dict[str, Sender] = {}
    by_key: dict[bytes, Sender] = {}
    for name, raw in entries.items():
        try:
            entry = _Named.model_validate({"name": name, "entry": raw}).entry
            sender = _sender(name, entry, known_sources, environment)
        except ValidationError as error:
            wrong += [f"SENDERS: {name}: {_where(problem['loc'])}{_said(problem['msg'])}" for problem in error.errors()]
            continue
        except ValueError as error:
            wrong.append(f"SENDERS: {name}: {error}")
            continue
        by_name[name] = sender
        for key_hash in entry.key_hashes:
            digest = bytes.fromhex(key_hash.removeprefix(_HASH))
            if digest in by_key:
                wrong.append(f"SENDERS: {name}: has a key that {by_key[digest].name} has too")
            by_key[digest] = sender
    if wrong:
        raise SettingsError("\n".join(wrong))
    return Senders(by_name, by_key)


def key_hash(key: str) -> str:
    """A key as it stands in the settings."""
    return _HASH + key_digest(key).hex()


def key_digest(key: str) -> bytes:
    """A key as it is looked up: by its hash, so that the time it takes tells nothing of any key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class _Named(_Strict):
    name: Annotated[str, Field(pattern=NAME)]
    entry: SenderEntry


def _sender(name: str, entry: SenderEntry, known_sources: Sequence[str], environment: Mapping[str, str]) -> Sender:
    if unknown := set(entry.sources) - {*known_sources, ANY_SOURCE}:
        raise ValueError(f"sources: {', '.join(sorted(unknown))} is none of {', '.join(known_sources)}, or *")
    return Sender(
        name=name,
        sources=None if ANY_SOURCE in entry.sources else frozenset(entry.sources),
        scopes=entry.scopes,
        signature=entry.signature,
        secrets=tuple(_key(entry.signature, place, environment) for place in entry.secrets if entry.signature),
        verify_token=entry.verify_token.read(environment) if entry.verify_token is not None else None,
        expires=entry.expires.astimezone(UTC) if entry.expires is not None else None,
        requests_per_second=entry.requests_per_second,
        events_per_second=entry.events_per_second,
        bytes_per_second=entry.bytes_per_second,
    )


def _key(scheme: Scheme, place: SecretPlace, environment: Mapping[str, str]) -> bytes:
    secret = place.read(environment)
    try:
        return secret_key(scheme, secret)
    except ValueError as error:
        raise ValueError(f"the secret in {place.file or place.variable} {error}") from None


def _where(path: tuple[int | str, ...]) -> str:
    """The field's path; a wrong name is the table's own."""
    return "".join(f"{part}: " for part in path if part != "entry")


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")
