"""Every command that a page names is there: programs with their subcommands and options, and targets of make.

Each distinct one is asked for its --help, so nothing is done; a program that knows no such option says so.
"""

import re
import subprocess
import sys
from functools import cache

import pytest

from tests.contract.pages import ROOT, Page, pages

PROGRAM = re.compile(r"python -m ([a-z][\w.]*)((?:[ \t]+[^\s`|;&#>)]+)*)")
OF_THE_IMAGE = re.compile(r"floodgate:local ([a-z][\w.]*)((?: [^\s`]+)*)")
TARGET = re.compile(r"(?<![\w/-])make((?: [A-Z]+=(?:\"[^\"]*\"|\S+))*) ([a-z][a-z-]*[a-z])")
WORD = re.compile(r"[a-z][a-z-]*")
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")}
NOT_A_TARGET = {"it", "its"}
"""What prose goes on with after the word."""


def programs(page: Page) -> set[tuple[str, tuple[str, ...], frozenset[str]]]:
    """The project's own programs that a page names: module, subcommands, options."""
    text = page.text.replace("\\\n", " ")
    found = set()
    for pattern in (PROGRAM, OF_THE_IMAGE):
        for module, arguments in pattern.findall(text):
            if module.partition(".")[0] not in OURS:
                continue
            words = arguments.split()
            options = frozenset(word.partition("=")[0] for word in words if word.startswith("--"))
            found.add((module, subcommands(module, words), options))
    return found


def subcommands(module: str, words: list[str]) -> tuple[str, ...]:
    """The first words, for as long as the program knows them as commands."""
    path: list[str] = []
    for word in words:
        if not WORD.fullmatch(word.strip(".,:")) or not has_commands(help_of(module, tuple(path))):
            break
        path.append(word.strip(".,:"))
    return tuple(path)


def has_commands(text: str) -> bool:
    """Whether a help says that a command is to follow: argparse ends its usage so."""
    return text.partition("\n\n")[0].endswith(" ...")


@cache
def help_of(module: str, path: tuple[str, ...]) -> str:
    """What the program says of itself, or of one of its commands. Fails where there is no such one."""
    said = subprocess.run(
        [sys.executable, "-m", module, *path, "--help"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": "", "COLUMNS": "500"},
    )  # fmt: skip
    assert said.returncode == 0, f"python -m {module} {' '.join(path)}: {said.stderr.strip()[-300:]}"
    return said.stdout


def unknown(page: Page) -> list[str]:
    """What a page names and there is not."""
    wrong = []
    for module, path, options in sorted(programs(page), key=repr):
        try:
            text = help_of(module, path)
        except AssertionError as error:
            wrong.append(str(error))
            continue
        wrong += [f"{module} {option}" for option in options if not re.search(rf"{option}(?![\w-])", text)]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) | NOT_A_TARGET
    code = "\n".join([*page.blocks, *re.findall(r"`([^`\n]+)`", page.prose)])
    wrong += [f"make {target}" for _, target in TARGET.findall(code) if target not in targets]
    return wrong


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: page.name)
def test_every_command_of_a_page_is_there(page: Page) -> None:
    assert unknown(page) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("`python -m streams aply`", "python -m streams aply"),
        ("`python -m streams apply --dry`", "streams --dry"),
        ("`python -m streams dead-letters lst --limit 2`", "python -m streams dead-letters lst"),
        ("`python -m gateway keys old`", "python -m gateway keys old"),
        ("`python -m deploy.nothing`", "python -m deploy.nothing"),
        ("```\nmake all-of-it\n```\n", "make all-of-it"),
    ],
)
def test_a_command_that_is_not_there_is_found(text: str, wrong: str) -> None:
    found = unknown(Page(ROOT / "docs" / "new.md", text))
    assert len(found) == 1
    assert found[0].startswith(wrong)
