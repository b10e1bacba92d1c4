"""Credentials and TLS of NATS: what goes together, and how what does not is told."""

from pathlib import Path
from typing import Any

import pytest

from shared.errors import SettingsError
from streams.nkeys import UserKey
from streams.settings import NatsSettings
from tests.unit.streams.test_nkeys import CREDS, PUBLIC, SEED


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in NatsSettings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
        monkeypatch.delenv(f"{field.alias}_FILE", raising=False)


def told(**values: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        NatsSettings.load(**values)
    assert SEED not in str(caught.value)
    return str(caught.value)


def test_without_any_there_are_none() -> None:
    settings = NatsSettings.load()
    assert settings.credentials == (None, None)
    assert not settings.wants_tls
    assert settings.tls_context() is None


def test_a_seed_or_a_credentials_file_can_be_named_by_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    for variable, text, jwt in (
        ("NATS_NKEY_SEED_FILE", f"{SEED}\n", None),
        ("NATS_CREDS_FILE", CREDS.format(seed=SEED), "eyJ0.eyJq.c2ln-_"),
    ):
        file.write_text(text)
        with monkeypatch.context() as patch:
            patch.setenv(variable, str(file))
            read, key = NatsSettings.load().credentials
        assert key is not None
        assert (read, key.public) == (jwt, PUBLIC)


def test_what_is_no_seed_or_credentials_file_is_told_and_not_shown() -> None:
    assert told(nkey_seed=SEED[:-1]) == "NATS_NKEY_SEED=***: takes a user's seed: SU and 56 letters and digits"
    assert told(creds=SEED) == "NATS_CREDS=***: takes the text of a .creds file"


def test_one_way_to_be_known_is_enough() -> None:
    both = told(nkey_seed=SEED, creds=CREDS.format(seed=UserKey.new().seed))
    assert both == "NATS_NKEY_SEED and NATS_CREDS are both set: set the one that the server knows"
    in_url = told(nkey_seed=SEED, url="nats://hidden-user:hidden@h:1")
    assert in_url == "NATS_URL has a user or token in it and NATS_NKEY_SEED is set: set one of them"
    assert "NATS_CREDS is set" in told(creds=CREDS.format(seed=SEED), url="nats://hidden-token@h")


@pytest.mark.parametrize("given", ["cert_file", "key_file"])
def test_a_certificate_needs_its_key(given: str, tmp_path: Path) -> None:
    said = told(**{given: str(tmp_path / "any.pem")})
    assert said.endswith(" is not: a certificate needs its key")
    assert said.startswith("NATS_CERT_FILE is set" if given == "cert_file" else "NATS_KEY_FILE is set")


def test_files_that_cannot_be_used_are_told_with_variable_file_and_reason(tmp_path: Path) -> None:
    missing, nothing = tmp_path / "missing.pem", tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    assert told(ca_file=str(missing)) == f"NATS_CA_FILE='{missing}': it can't be used: No such file or directory"
    assert told(ca_file=str(nothing)).startswith(f"NATS_CA_FILE='{nothing}': it can't be used: ")
    said = told(cert_file=str(nothing), key_file=str(missing))
    assert said.startswith(f"NATS_CERT_FILE='{nothing}' and NATS_KEY_FILE='{missing}': they can't be used: ")


def test_tls_is_wanted_where_one_of_the_servers_says_so() -> None:
    assert NatsSettings.load(url="nats://a:1,tls://b:1").wants_tls
    assert not NatsSettings.load(url="nats://a:1,nats://b:1").wants_tls
