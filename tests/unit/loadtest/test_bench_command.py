"""The benchmark as a person starts it."""

import argparse

import pytest

from loadtest.__main__ import main
from loadtest.bench.cli import add_bench, bench_options
from loadtest.bench.options import USUAL_PHASES, BenchOptions, Phase
from loadtest.bench.run import KEYS
from loadtest.cli import OneLineParser


def _parsed(*arguments: str) -> BenchOptions:
    parser = OneLineParser()
    commands: argparse._SubParsersAction[OneLineParser] = parser.add_subparsers()
    add_bench(commands)
    return bench_options(parser.parse_args(["bench", *arguments]))


def test_without_options_it_is_a_full_run_of_all_but_growth() -> None:
    options = _parsed()
    assert options.phases == USUAL_PHASES
    assert Phase.GROWTH not in options.phases
    assert options.sizes.events == 1_000_000
    assert options.quick is False


def test_phases_run_in_their_own_order_whatever_was_asked_for() -> None:
    assert _parsed("--only", "single", "--only", "accept").phases == (Phase.ACCEPT, Phase.SINGLE)


def test_quick_is_smaller_and_events_win_over_it() -> None:
    assert _parsed("--quick").sizes.events < _parsed().sizes.events
    assert _parsed("--quick", "--events", "300000").sizes.events == 300_000


def test_growth_to_few_rows_still_has_two_steps() -> None:
    assert _parsed("--only", "growth").sizes.growth_step == 1_000_000
    assert _parsed("--only", "growth", "--rows", "50000").sizes.growth_step == 25_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "everything"], "--only: 'everything': takes one of ceilings, end-to-end"),
        (["--events", "10"], "--events: '10': takes a whole number from 10000"),
        (["--rows", "many"], "--rows: 'many'"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_option_ends_in_one_line_and_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *arguments], env={})
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_every_phase_has_a_key_of_its_own() -> None:
    assert len(set(KEYS.values())) == len(Phase)
