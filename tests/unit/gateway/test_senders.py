"""The senders' settings: what is written is what is allowed, and what is wrong stops the start in words."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import senders
from gateway.scopes import Scope
from gateway.senders import key_digest, key_hash, load
from gateway.settings import AccessSettings, is_loopback
from gateway.signatures import Scheme
from shared.errors import SettingsError
from shared.events import SOURCES

HASH = key_hash("a key")


def _load(text: str, **environment: str) -> senders.Senders:
    return load(text, SOURCES, environment)


def _error(text: str, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        _load(text, **environment)
    return str(caught.value)


def test_a_sender_is_found_by_its_key_and_may_do_what_is_written() -> None:
    found = _load(
        f"""
        [senders.acme]
        sources = ["facebook"]
        scopes = ["ingest", "read"]
        key_hashes = ["{HASH}", "{key_hash("the next key")}"]
        expires = 2027-01-01T02:00:00+02:00
        requests_per_second = 5
        events_per_second = 20_000
        bytes_per_second = 1_000_000
        """
    )
    acme = found.by_name["acme"]
    assert found.by_key == {key_digest("a key"): acme, key_digest("the next key"): acme}
    assert acme.sources == frozenset({"facebook"})
    assert acme.scopes == {Scope.INGEST, Scope.READ}
    assert acme.expires == datetime(2027, 1, 1, tzinfo=UTC)
    assert (acme.requests_per_second, acme.events_per_second, acme.bytes_per_second) == (5, 20_000, 1_000_000)


def test_little_is_allowed_that_is_not_written() -> None:
    acme = _load(f'[senders.acme]\nkey_hashes = ["{HASH}"]').by_name["acme"]
    assert acme.scopes == {Scope.INGEST}
    assert acme.sources is None
    assert _load(f'[senders.acme]\nsources = ["*"]\nkey_hashes = ["{HASH}"]').by_name["acme"].sources is None


def test_secrets_come_from_files_and_variables(tmp_path: Path) -> None:
    place = tmp_path / "secret"
    place.write_text("from-a-file-from-a-file\n", encoding="utf-8")
    found = _load(
        f"""
        [senders.meta]
        signature = "meta"
        secrets = [{{ file = "{place}" }}, {{ variable = "META_SECRET" }}]
        verify_token = {{ variable = "META_TOKEN" }}
        """,
        META_SECRET="from-a-variable-from-one",
        META_TOKEN="token",
    ).by_name["meta"]
    assert found.signature is Scheme.META
    assert found.secrets == (b"from-a-file-from-a-file", b"from-a-variable-from-one")
    assert found.verify_token == "token"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[senders", "SENDERS is no TOML"),
        ("", "SENDERS takes tables [senders.<name>]"),
        ("[senders]", "SENDERS takes tables [senders.<name>]"),
        (f'[senders.a]\nkey_hashes = ["{HASH}"]\n[other]', "SENDERS takes tables [senders.<name>]"),
        ("[senders.a]", "a: needs key_hashes, or a signature"),
        (f'[senders.A]\nkey_hashes = ["{HASH}"]', "A: name: String should match"),
        (f'[senders.a]\nkey_hashs = ["{HASH}"]', "a: key_hashs: Extra inputs are not permitted"),
        ('[senders.a]\nkey_hashes = ["a key"]', "a: key_hashes: 0: String should match"),
        (f'[senders.a]\nkey_hashes = ["{HASH}", "{HASH}", "{HASH}"]', "a: key_hashes: Tuple should have at most 2"),
        (f'[senders.a]\nsources = ["x"]\nkey_hashes = ["{HASH}"]', "a: sources: x is none of facebook, tiktok, or *"),
        (f'[senders.a]\nscopes = ["root"]\nkey_hashes = ["{HASH}"]', "a: scopes: 0: Input should be 'ingest'"),
        (f'[senders.a]\nkey_hashes = ["{HASH}"]\n[senders.b]\nkey_hashes = ["{HASH}"]', "b: has a key that a has too"),
        (
            f'[senders.a]\nkey_hashes = ["{HASH}"]\nevents_per_second = 0',
            "a: events_per_second: Input should be greater",
        ),
        (
            f'[senders.a]\nkey_hashes = ["{HASH}"]\nexpires = 2027-01-01T00:00:00',
            "a: expires: Input should have timezone",
        ),
        ('[senders.a]\nsignature = "meta"', "a: a sender that signs needs one or two secrets"),
        ('[senders.a]\nsecrets = [{ variable = "X" }]', "a: secrets are for signatures"),
        (
            '[senders.a]\nsignature = "meta"\nsecrets = [{ variable = "X" }]',
            "a: the variable X with the secret is not set",
        ),
        ('[senders.a]\nsignature = "meta"\nsecrets = [{ file = "/no/such" }]', "a: can't read the secret in /no/such"),
        ('[senders.a]\nsignature = "meta"\nsecrets = [{ variable = "SHORT" }]', "a: the secret in SHORT has 3 bytes"),
        ('[senders.a]\nsignature = "meta"\nsecrets = [{}]', "a: secrets: 0: takes either a file or a variable"),
        (
            f'[senders.a]\nsignature = "meta"\nsecrets = [{{ variable = "LONG" }}]\nkey_hashes = ["{HASH}"]',
            "a: takes key_hashes or a signature, not both",
        ),
        (
            '[senders.a]\nsignature = "meta"\nsecrets = [{ variable = "LONG" }]\nscopes = ["admin"]',
            "a: a sender that signs can only ingest",
        ),
        (
            '[senders.a]\nsignature = "tiktok"\nsecrets = [{ variable = "LONG" }]\n'
            'verify_token = { variable = "LONG" }',
            "a: verify_token belongs to the handshake",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_shows_no_secret(text: str, told: str) -> None:
    said = _error(text, SHORT="abc", LONG="a-long-secret-a-long-secret")
    assert told in said
    assert "a-long-secret" not in said
    assert "abc" not in said


def test_every_wrong_sender_is_named() -> None:
    assert len(_error("[senders.a]\n[senders.b]\nrights = 1").splitlines()) == 2


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("[::1]", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "", "10.0.0.1", "example.org", "127.0.0.1.example.org")],
)
def test_only_a_loopback_address_may_be_open_without_a_word(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    if loopback:
        AccessSettings().refuse_unsafe(host)
    else:
        with pytest.raises(SettingsError, match="AUTH=open if anyone who can reach it may post"):
            AccessSettings().refuse_unsafe(host)
    AccessSettings(auth="open").refuse_unsafe(host)
    AccessSettings(senders="[senders.a]").refuse_unsafe(host)


def test_auth_and_senders_must_not_contradict_each_other() -> None:
    with pytest.raises(SettingsError, match="AUTH=open lets anyone in"):
        AccessSettings.load(auth="open", senders="[senders.a]")
    with pytest.raises(SettingsError, match="AUTH=senders needs them"):
        AccessSettings.load(auth="senders")
