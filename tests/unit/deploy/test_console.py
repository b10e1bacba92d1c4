"""The line below all others: in place, whole, never among the children's lines."""

import io
import os

import pytest

from deploy.local.console import Console
from tests.servers import wait_until
from tests.terminal import Terminal


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(columns=40)


def test_lines_pass_above_it_and_it_stays_last(terminal: Terminal) -> None:
    with terminal, os.fdopen(os.dup(terminal.device), "w") as out:
        console = Console(out=out)
        for number in range(50):
            console.last_line(f"vital {number}")
            console.child("gateway", f"line {number}")
        # The last line alone may stand there already while its neighbour above is still to be written.
        shown = ["gateway".ljust(19) + "| line 49", "vital 49"]
        assert wait_until(lambda: terminal.screen()[-2:] == shown, within_s=10)
        *lines, _ = terminal.screen()
        assert [line.split("| ")[1] for line in lines] == [f"line {number}" for number in range(50)]
        console.last_line("")
        console.say("ended")
        console.close()
        assert wait_until(lambda: terminal.screen()[-2:] == ["floodgate".ljust(19) + "| ended", ""], within_s=10)
        assert not any("vital" in line for line in terminal.screen())


def test_it_is_cut_so_that_it_never_wraps_and_a_childs_long_line_is_not(terminal: Terminal) -> None:
    with terminal, os.fdopen(os.dup(terminal.device), "w") as out:
        console = Console(out=out, colour=False)
        console.last_line("v" * 100)
        console.child("gateway", "x" * 100)
        console.last_line("w" * 100)
        assert wait_until(lambda: terminal.screen()[-1] == "w" * 39, within_s=10)
        *lines, _ = terminal.screen()
        assert "".join(lines) == "gateway".ljust(19) + "| " + "x" * 100
        console.close()


def test_where_nobody_watches_there_is_none() -> None:
    out = io.StringIO()
    console = Console(out=out)
    assert not console.live
    console.last_line("vital")
    console.say("ended")
    console.close()
    assert out.getvalue() == "floodgate".ljust(19) + "| ended\n"
