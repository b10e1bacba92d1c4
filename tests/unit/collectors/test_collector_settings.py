"""Settings that can't work are refused before anything is tried, in one line that names the variable."""

import pytest

from collectors.settings import CollectorSettings, DatabaseSettings
from shared.errors import SettingsError

URLS = (
    "postgresql://floodgate@127.0.0.1:5432/floodgate",
    "postgres://u:p%40%3A@db.example/x?sslmode=require",
    "postgresql://u:pa:ss@[::1]:5432/x",
    "postgresql://u@a:5432,b:5433/x?target_session_attrs=primary",
    "postgresql://u@%2Frun%2Fpostgresql/x",
    "postgresql:///x",
)
IMPOSSIBLE_URLS = (
    "nonsense",
    "mysql://u:secret@h/x",
    "postgresql+asyncpg://u:secret@h/x",
    "postgresql://u:secret@h:port/x",
    "postgresql://u:secret@h:0/x",
    "postgresql://u:secret@h:65536/x",
    "postgresql://u:secret@a:1,b:x/x",
    "postgresql://u:secret@[::1/x",
)


@pytest.mark.parametrize("url", URLS)
def test_every_form_of_a_postgres_url_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    assert DatabaseSettings.load().url == url


@pytest.mark.parametrize("url", IMPOSSIBLE_URLS)
def test_an_impossible_url_is_refused_without_showing_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError) as told:
        DatabaseSettings.load()

    [line] = str(told.value).splitlines()
    assert line.startswith("DATABASE_URL=***: takes postgresql://user:password@host:port/database")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FLUSH_EVENTS", "0"), ("FLUSH_AGE", "soon"), ("OPS_PORT", "65536"), ("MAX_DEAD_LETTERS_IN_A_ROW", "-1")],
)
def test_an_impossible_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as told:
        CollectorSettings.load()

    [line] = str(told.value).splitlines()
    assert line.startswith(f"{variable}={value!r}: takes ")
