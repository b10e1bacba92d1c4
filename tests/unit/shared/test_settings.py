"""Settings: the defaults that users rely on, and how a wrong value is told."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError

from collectors.settings import CollectorSettings, DatabaseSettings
from gateway.settings import GatewaySettings
from shared.errors import SettingsError
from shared.settings import Count, LogSettings, Milliseconds, Settings, is_secret, takes
from streams.settings import NatsSettings, PublishSettings, StreamSettings

SECTIONS: tuple[type[Settings], ...] = (
    GatewaySettings,
    CollectorSettings,
    DatabaseSettings,
    NatsSettings,
    StreamSettings,
    PublishSettings,
    LogSettings,
)


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for section in SECTIONS:
        for field in section.model_fields.values():
            monkeypatch.delenv(str(field.alias), raising=False)
            monkeypatch.delenv(f"{field.alias}_FILE", raising=False)


@pytest.mark.parametrize(
    ("section", "field", "variable", "default"),
    [
        (GatewaySettings, "port", "PORT", 3000),
        (GatewaySettings, "host", "HOST", "127.0.0.1"),
        (GatewaySettings, "batch_events", "BATCH_SIZE", 1000),
        (GatewaySettings, "max_bulk_events", "MAX_BULK_EVENTS", 50_000),
        (GatewaySettings, "max_reported_errors", "MAX_REPORTED_ERRORS", 1000),
        (PublishSettings, "batch_events", "NATS_BATCH_SIZE", 100),
        (PublishSettings, "timeout_ms", "PUBLISH_TIMEOUT", 10_000),
        (PublishSettings, "attempts", "PUBLISH_ATTEMPTS", 3),
        (DatabaseSettings, "pool_size", "DB_POOL_SIZE", 20),
        (DatabaseSettings, "connect_timeout_ms", "DB_CONNECT_TIMEOUT", 30_000),
        (DatabaseSettings, "query_timeout_ms", "DB_QUERY_TIMEOUT", 60_000),
        (GatewaySettings, "database_connect_timeout_ms", "DB_CONNECT_TIMEOUT", 30_000),
        (GatewaySettings, "database_query_timeout_ms", "DB_QUERY_TIMEOUT", 60_000),
        (NatsSettings, "url", "NATS_URL", "nats://127.0.0.1:4222"),
        (NatsSettings, "max_reconnect_attempts", "NATS_MAX_RECONNECT_ATTEMPTS", -1),
        (NatsSettings, "reconnect_wait_ms", "NATS_RECONNECT_WAIT", 2000),
        (NatsSettings, "ping_interval_ms", "NATS_PING_INTERVAL", 120_000),
        (StreamSettings, "max_messages", "STREAM_MAX_MESSAGES", 10_000_000),
        (StreamSettings, "max_bytes", "STREAM_MAX_BYTES", 10 * 1024**3),
        (StreamSettings, "max_age_ms", "STREAM_MAX_AGE", 7 * 24 * 3600 * 1000),
        (StreamSettings, "ack_wait_ms", "CONSUMER_ACK_WAIT", 30_000),
        (CollectorSettings, "ops_port", "OPS_PORT", 9100),
        (LogSettings, "level", "LOG_LEVEL", "info"),
    ],
)
def test_a_default_is_what_users_rely_on_and_its_variable_sets_it(
    section: type[Settings], field: str, variable: str, default: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert section.model_fields[field].alias == variable
    assert getattr(section.load(), field) == default
    other = {"HOST": "::1", "LOG_LEVEL": "debug", "NATS_URL": "nats://elsewhere:1"}.get(variable, "7000")
    if variable in {"PUBLISH_ATTEMPTS", "DB_POOL_SIZE"}:
        other = "7"
    monkeypatch.setenv(variable, other)
    assert str(getattr(section.load(), field)) == other


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_has_a_variable_a_description_and_words_for_what_it_takes(section: type[Settings]) -> None:
    for name, field in section.model_fields.items():
        assert field.alias, name
        assert field.alias.isupper(), name
        assert field.description, name
        assert takes(field), name
        if "timeout" in name or "_wait" in name or "interval" in name or "_age" in name or "grace" in name:
            assert name.endswith("_ms"), f"{name}: a time has its unit in its name"
            assert "milliseconds" in takes(field)


@pytest.mark.parametrize(
    ("section", "variable", "value", "line"),
    [
        (GatewaySettings, "PORT", "99999", "PORT='99999': takes a whole number from 0 to 65535"),
        (GatewaySettings, "PORT", "http", "PORT='http': takes a whole number from 0 to 65535"),
        (GatewaySettings, "PORT", "-1", "PORT='-1': takes a whole number from 0 to 65535"),
        (GatewaySettings, "MAX_BULK_EVENTS", "0", "MAX_BULK_EVENTS='0': takes a whole number, 1 or more"),
        (GatewaySettings, "BACKLOG_CLOSE_AT", "2", "BACKLOG_CLOSE_AT='2': takes a number over 0, 1 at most"),
        (
            PublishSettings,
            "PUBLISH_TIMEOUT",
            "10s",
            "PUBLISH_TIMEOUT='10s': takes a whole number of milliseconds from 1 to 86400000",
        ),
        (
            StreamSettings,
            "STREAM_MAX_AGE",
            "1",
            "STREAM_MAX_AGE='1': takes a whole number of milliseconds, 1000 or more",
        ),
        (StreamSettings, "STREAM_PREFIX", "a.b", "STREAM_PREFIX='a.b': takes up to 32 of A-Z, 0-9 and _"),
        (StreamSettings, "PROVISION_ON_START", "maybe", "PROVISION_ON_START='maybe': takes true or false"),
        (
            NatsSettings,
            "NATS_MAX_RECONNECT_ATTEMPTS",
            "0",
            "NATS_MAX_RECONNECT_ATTEMPTS='0': takes -1, or a whole number of 1 or more",
        ),
        (LogSettings, "LOG_FORMAT", "xml", "LOG_FORMAT='xml': takes console or json"),
        (LogSettings, "LOG_LEVEL", "loud", "LOG_LEVEL='loud': takes debug, info, warning or error"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_variable_what_it_got_and_what_it_takes(
    section: type[Settings], variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        section.load()
    assert str(caught.value) == line


def test_each_wrong_variable_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("BATCH_SIZE", "0")
    with pytest.raises(SettingsError) as caught:
        GatewaySettings.load()
    assert [line.partition("=")[0] for line in str(caught.value).splitlines()] == ["PORT", "BATCH_SIZE"]


def test_settings_that_do_not_fit_each_other_are_told_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKLOG_OPEN_AT", "0.95")
    with pytest.raises(SettingsError, match=r"^BACKLOG_OPEN_AT=0.95 must not be above BACKLOG_CLOSE_AT=0.9$"):
        GatewaySettings.load()


@pytest.mark.parametrize(
    ("section", "variable", "value"),
    [
        (DatabaseSettings, "DATABASE_URL", "mysql://admin:hunter2@db/x"),
        (NatsSettings, "NATS_URL", "http://admin:hunter2@nats:4222"),
        (NatsSettings, "NATS_URL", "nats://admin:hunter2@nats:99999"),
        (NatsSettings, "NATS_URL", "nats://good:1, nats://admin:hunter2@"),
    ],
)
def test_a_secret_is_not_shown_where_it_is_wrong(
    section: type[Settings], variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        section.load()
    told = str(caught.value)
    assert told.startswith(f"{variable}=***: takes ")
    assert "hunter2" not in told
    assert "admin" not in told
    assert caught.value.__cause__ is None  # it has the value in it
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_nats_url_is_unset_and_a_blank_one_is_wrong(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_URL", value)
    if value:
        with pytest.raises(SettingsError):
            NatsSettings.load()
    else:
        assert NatsSettings.load().url == "nats://127.0.0.1:4222"


@pytest.mark.parametrize(
    "url",
    ["http://h", "nats://", "nats://h:0", "nats://h:99999", "nats://h:port", "h h:1", "::::", ",", "nats://h/path", "ws://h"],
)  # fmt: skip
def test_a_nats_url_that_nobody_could_connect_to_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="takes nats://host:port"):
        NatsSettings.load(url=url)


@pytest.mark.parametrize(
    ("url", "servers", "safe"),
    [
        ("nats://h:4222", ["nats://h:4222"], "nats://h:4222"),
        ("h:4222", ["h:4222"], "h:4222"),
        ("u:p@h:4222", ["u:p@h:4222"], "h:4222"),
        ("nats://u:p@h, tls://u:p@@i:1", ["nats://u:p@h", "tls://u:p@@i:1"], "nats://h,tls://i:1"),
        ("nats://[::1]:4222", ["nats://[::1]:4222"], "nats://[::1]:4222"),
    ],
)
def test_a_nats_url_is_split_into_servers_and_shown_without_credentials(
    url: str, servers: list[str], safe: str
) -> None:
    settings = NatsSettings.load(url=url)
    assert settings.servers == servers
    assert settings.safe_url == safe


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(LogSettings.load(), "level", "debug")  # noqa: B010 - mypy knows better than to assign


def test_a_setting_that_is_not_there_cannot_be_passed() -> None:
    with pytest.raises(SettingsError, match=r"^leval: LogSettings has no such setting$"):
        LogSettings.load(leval="debug")


class _Strange(Settings):
    needed: str = Field(alias="FLOODGATE_TEST_NEEDED", description="Something")
    wait_ms: Milliseconds = Field(5, alias="FLOODGATE_TEST_WAIT", description="A time")
    count: Count = Field(5, alias="FLOODGATE_TEST_COUNT", description="A count")


def test_a_missing_value_is_told_with_what_it_takes() -> None:
    assert "FLOODGATE_TEST_NEEDED" not in os.environ
    with pytest.raises(SettingsError, match=r"^FLOODGATE_TEST_NEEDED is not set; it takes text$"):
        _Strange.load()


def test_blanks_around_a_number_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODGATE_TEST_WAIT", " 250 ")
    monkeypatch.setenv("FLOODGATE_TEST_COUNT", "7\n")
    strange = _Strange.load(needed="x")
    assert (strange.wait_ms, strange.count) == (250, 7)


SECRETS = [
    (section, field.alias) for section in SECTIONS for field in section.model_fields.values() if is_secret(field)
]
DSN = "postgresql://u:p@h/d"
VALUES = {"DATABASE_URL": DSN, "NATS_URL": "nats://u:p@h:1"}


@pytest.mark.parametrize(("section", "variable"), [pair for pair in SECRETS if pair[1] in VALUES])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_may_come_from_a_file_whose_last_line_ends_or_not(
    section: type[Settings], variable: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes((VALUES[variable] + ending).encode())
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "secret"))
    assert VALUES[variable] in section.load().model_dump().values()


def test_a_value_that_is_passed_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "missing"))
    assert DatabaseSettings.load(url=DSN).url == DSN
    assert DatabaseSettings.load(DATABASE_URL=DSN).url == DSN


@pytest.mark.parametrize(("section", "variable"), SECRETS)
def test_a_secret_that_is_set_twice_is_told_with_both_variables(
    section: type[Settings], variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(DSN)
    monkeypatch.setenv(variable, "hunter2")
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError, match=rf"^{variable} and {variable}_FILE are both set: set one of them$"):
        section.load()


@pytest.mark.parametrize(("section", "variable"), SECRETS)
def test_a_file_that_gives_no_secret_is_told_with_its_variable_and_name(
    section: type[Settings], variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    for content, reason in (
        (None, "the file can't be read: No such file or directory"),
        (b"\n", "the file is empty"),
        (b"\xff", "the file can't be read: it is not UTF-8"),
    ):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            section.load()
        assert str(caught.value) == f"{variable}_FILE='{file}': {reason}"


def test_a_wrong_value_in_a_file_is_told_with_the_file_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("mysql://admin:hunter2@db/x")
    monkeypatch.setenv("DATABASE_URL_FILE", str(file))
    with pytest.raises(SettingsError) as caught:
        DatabaseSettings.load()
    assert str(caught.value).startswith(f"DATABASE_URL_FILE='{file}': in the file, it takes postgresql://")
    assert "hunter2" not in str(caught.value)
