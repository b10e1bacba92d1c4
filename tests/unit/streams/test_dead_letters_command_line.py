"""The command line of dead letters and replays: what it takes, and one line for what it does not."""

from datetime import UTC, datetime, timedelta

import pytest

from streams import cli


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-01-25T17:31:13Z", datetime(2026, 1, 25, 17, 31, 13, tzinfo=UTC)),
        ("2026-01-25T17:31:13.5+02:00", datetime(2026, 1, 25, 15, 31, 13, 500_000, tzinfo=UTC)),
        ("2026-01-25T17:31", datetime(2026, 1, 25, 17, 31, tzinfo=UTC)),
        ("2026-01-25", datetime(2026, 1, 25, tzinfo=UTC)),
    ],
)
def test_a_time_is_taken_as_iso_8601(text: str, wanted: datetime) -> None:
    assert cli.moment(text) == wanted


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("30min", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1.5h", timedelta(minutes=90)),
        ("1d ago", timedelta(days=1)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_time_is_taken_as_so_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    moment = cli.moment(text)
    assert before - ago <= moment <= datetime.now(UTC) - ago


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "COMMAND"),
        ("dead-letters", "ACTION"),
        ("dead-letters bury", "'bury'"),
        ("dead-letters list --source myspace", "'myspace'"),
        ("dead-letters list --reason bad", "'bad'"),
        ("dead-letters list --since yesterday", "'yesterday'"),
        ("dead-letters list --since 999999999d", "'999999999d'"),
        ("dead-letters list --limit 0", "'0'"),
        ("dead-letters list --since 1h --until 2h", "is not before"),
        ("dead-letters show", "SEQ"),
        ("dead-letters show first", "'first'"),
        ("dead-letters show -1", "-1"),
        ("dead-letters export", "FILE"),
        ("replay --since 1h", "--source"),
        ("replay --source facebook", "--since"),
        ("replay --source facebook --since 1h --limit 5", "--limit"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parse(arguments.split())
    output = capsys.readouterr()
    assert ended.value.code == 2
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.startswith("streams")
    assert said in output.err


def test_every_filter_is_off_unless_it_is_given() -> None:
    parsed = cli.parse(["dead-letters", "drop"])
    filters = ("source", "reason", "correlation_id", "seq", "since", "until", "limit")
    assert [getattr(parsed, name) for name in filters] == [None] * 7
    assert (parsed.yes, parsed.dry_run) == (False, False)
