"""What a person sees of an entry."""

from typing import Any

from shared.console_lines import ConsoleLines


def line(**entry: Any) -> str:
    plain = {"timestamp": "03:01:02", "level": "info", "event": "bulk_answered"}
    return ConsoleLines(colours=False)(None, "", plain | entry)


def test_events_and_fields_line_up_and_the_correlation_id_is_last_and_whole() -> None:
    assert line(correlation_id="c-1", request_id="ffff", status=200, ms=3.1) == (
        "03:01:02 info  bulk_answered        status=200 ms=3.1 correlation_id=c-1"
    )
    assert line(level="warning", event="nats_disconnected").index("nats_") == line().index("bulk_")


def test_text_that_could_be_taken_for_another_field_is_quoted() -> None:
    assert line(error="no servers").endswith("error='no servers'")
    assert line(error="a=b").endswith("error='a=b'")
    assert line(url="http://127.0.0.1:3000").endswith("url=http://127.0.0.1:3000")
    assert line(error="").endswith("error=''")


def test_an_entry_is_one_line_whatever_is_in_it() -> None:
    said = line(event="two\nlines", error="a\nb\x1b[31m", other=["x\ny"])
    assert said.isprintable()


def test_a_traceback_stands_below() -> None:
    assert line(exception="Traceback: …\nKeyError: 5").splitlines()[1:] == ["  Traceback: …", "  KeyError: 5"]


def test_a_warning_has_another_colour_than_an_error() -> None:
    colours = ConsoleLines(colours=True)
    said = [colours(None, "", {"level": level, "event": "any"}) for level in ("info", "warning", "error")]
    assert len({text.partition("any")[0][-5:] for text in said}) == 3
