"""Log lines, as they leave a program: for machines and for people."""

import json
from typing import Any

import pytest

from tests.unit.shared.test_lifecycle import end, start


def lines(**environment: str) -> list[str]:
    status, out, err = end(start("logs_something", environment))
    assert (status, out) == (0, "")  # logs go to standard error alone
    return err.splitlines()


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(LOG_FORMAT="json", LOG_LEVEL="info")]


def test_in_json_every_entry_is_one_line_whatever_is_in_it(entries: list[dict[str, Any]]) -> None:
    assert [entry["event"] for entry in entries] == [
        "request_done",
        "batch_failed",
        "library says this",
        "flush_failed",
        "Error handling request",
    ]
    for entry in entries:
        assert entry["timestamp"].endswith("Z")
        assert entry["level"] in {"info", "warning", "error"}


def test_fields_stand_beside_the_constant_text(entries: list[dict[str, Any]]) -> None:
    done = entries[0]
    assert (done["role"], done["events"], done["level"]) == ("gateway", 3, "info")
    assert entries[1]["detail"] == 'two\nlines and "quotes"'


def test_the_correlation_id_is_in_every_entry_of_its_request_and_in_no_other(entries: list[dict[str, Any]]) -> None:
    assert [entry.get("correlation_id") for entry in entries] == [None, "c-1", "c-1", None, None]


def test_a_library_logs_in_the_same_form_under_its_name(entries: list[dict[str, Any]]) -> None:
    assert entries[2]["logger"] == "nats.aio"
    assert entries[2]["level"] == "warning"


def test_an_exception_is_a_field_and_not_loose_lines(entries: list[dict[str, Any]]) -> None:
    for entry in entries[3:]:
        assert entry["exception"].startswith("Traceback (most recent call last):")
        assert entry["exception"].endswith("KeyError: 5")


def test_the_console_is_readable_and_without_colours_in_a_pipe() -> None:
    shown = lines(LOG_FORMAT="console", LOG_LEVEL="debug")
    assert "\x1b" not in "".join(shown)
    assert any("not_shown_at_info" in line for line in shown)
    (done,) = [line for line in shown if "request_done" in line]
    assert "info" in done
    assert "events=3" in done
    assert "role=gateway" not in done  # whoever reads a console knows what runs there
    assert not any("small talk" in line for line in shown)


def test_the_console_has_colours_where_they_are_forced_and_never_where_they_are_not_wanted() -> None:
    wanted = {"LOG_FORMAT": "console", "FORCE_COLOR": "1"}
    assert "\x1b[" in "".join(lines(**wanted))
    assert "\x1b" not in "".join(lines(**wanted, NO_COLOR="1"))


def test_a_library_that_repeats_itself_is_thinned_out_like_our_own_lines() -> None:
    status, _, err = end(start("floods", {"LOG_FORMAT": "json", "LOG_REPEATS": "3"}))
    said = [json.loads(line)["event"] for line in err.splitlines()]
    assert status == 0
    assert said == ["broken"] * 3 + ["library says 0", "library says 1", "library says 2", "ended"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_does_not_show_what_variables_hold(log_format: str) -> None:
    said = "\n".join(lines(LOG_FORMAT=log_format))
    assert "KeyError: 5" in said
    assert "the secret" not in said


def test_below_the_level_nothing_is_said() -> None:
    assert [json.loads(line)["event"] for line in lines(LOG_LEVEL="error")] == [
        "flush_failed",
        "Error handling request",
    ]
