"""What the local stack takes from the environment, and what it says about a folder it cannot use."""

from pathlib import Path

import pytest

from deploy.local.data_dir import DataDir
from deploy.local.errors import SettingError, StackError
from deploy.local.settings import LocalSettings
from deploy.local.venv import explain


def test_the_defaults_are_the_documented_ones() -> None:
    settings = LocalSettings.from_environment({"PORT": "", "DATA_DIR": ""})
    assert (settings.port, settings.host, settings.gateway_url) == (3000, "127.0.0.1", "http://127.0.0.1:3000")
    assert settings.data_dir == Path(".data").absolute()
    assert settings.nats_url is None
    assert settings.database_url is None


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "3000.0", "٣"])
def test_an_impossible_port_is_named_with_its_value(port: str) -> None:
    with pytest.raises(SettingError, match=f"PORT is {port!r}: it takes a number from 1 to 65535"):
        LocalSettings.from_environment({"PORT": port})


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({}, None),
        ({"AUTH": "open"}, None),
        ({"SENDERS": "[senders.acme]"}, 3001),
        ({"SENDERS_FILE": "senders.toml"}, 3001),
        ({"SENDERS": "[senders.acme]", "INTERNAL_PORT": "4001"}, 4001),
        ({"INTERNAL_PORT": "4001"}, 4001),
        ({"INTERNAL_PORT": "0"}, 3001),
    ],
)
def test_with_senders_the_gateway_is_looked_at_on_a_port_of_its_own(
    environment: dict[str, str], port: int | None
) -> None:
    settings = LocalSettings.from_environment(environment)
    assert settings.internal_port == port
    assert settings.internal_url(7) == "http://127.0.0.1:7"
    with pytest.raises(SettingError, match="INTERNAL_PORT is 'x': it takes a number from 1 to 65535"):
        LocalSettings.from_environment({"INTERNAL_PORT": "x"})


def test_a_server_of_somebody_elses_may_be_named_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://u:p@h/d\n")
    settings = LocalSettings.from_environment({"DATABASE_URL_FILE": str(tmp_path / "dsn")})
    assert settings.database_url == "postgresql://u:p@h/d"
    with pytest.raises(SettingError, match="NATS_URL_FILE='missing': the file can't be read"):
        LocalSettings.from_environment({"NATS_URL_FILE": "missing"})


def test_a_gateway_on_every_address_is_reached_over_loopback() -> None:
    assert LocalSettings.from_environment({"HOST": "0.0.0.0"}).gateway_url == "http://127.0.0.1:3000"


def test_a_second_stack_on_the_same_folder_is_told_who_has_it(tmp_path: Path) -> None:
    held = DataDir.open(tmp_path / "data")
    with pytest.raises(StackError, match=r"is in use by a stack that runs already \(pid \d+\)"):
        DataDir.open(tmp_path / "data")
    held.close()
    DataDir.open(tmp_path / "data").close()


def test_data_of_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("2\n")
    (tmp_path / "postgres").mkdir()
    with pytest.raises(StackError, match=r"written by a newer Floodgate \(format 2, this one knows 1\)"):
        DataDir.open(tmp_path)
    assert (tmp_path / "VERSION").read_text() == "2\n"
    (tmp_path / "VERSION").write_text("1\n")
    DataDir.open(tmp_path).close()  # and the refusal has let go of the lock


def test_a_version_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("one\n")
    with pytest.raises(StackError, match="says 'one', which is no version"):
        DataDir.open(tmp_path)


def test_a_folder_with_other_things_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("important")
    with pytest.raises(StackError, match="holds other files and no data of Floodgate"):
        DataDir.open(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StackError, match="is a file: set DATA_DIR to a folder"):
        DataDir.open(file)
    with pytest.raises(StackError, match=r"cannot be written \(Not a directory\)"):
        DataDir.open(file / "below")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "ERROR: Could not find a version\nERROR: No matching distribution found for orjson==3.11",
            "no ready-made orjson==3.11",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "its hash differs"),
        ("WARNING: Retrying\nERROR: Could not install packages due to an OSError: no route", "OSError: no route"),
        ("", "pip said nothing"),
    ],
)
def test_what_pip_says_becomes_one_line(said: str, told: str) -> None:
    line = explain(said)
    assert told in line
    assert "\n" not in line
