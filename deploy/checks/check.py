"""What a check of the deployment files is, and what it leans on.

Invariant: a check reads files below the root that it is given and changes none of them, so that a test can hand
it a broken copy. It says what is wrong in lines for people; no line means that all is well.
"""

import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMEOUT_S: Final = 300.0
ROOT: Final = Path(__file__).resolve().parents[2]


class MissingTool(Exception):
    """A program that a check runs is not on this machine. The text says how to get it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `find_wrong` takes the root of the project, may block for minutes, and returns what is wrong.

    It raises MissingTool where it can't be run.
    """

    name: str
    about: str
    find_wrong: Callable[[Path], Iterable[str]]


def tool(name: str, install: str) -> str:
    """The path of a program: of the environment's scripts first, then of the system.

    Raises MissingTool with `install`, the command that brings it.
    """
    path = sysconfig.get_path("scripts")
    found = shutil.which(name, path=path) or shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise MissingTool(f"{name} is missing: {install}")
    return found


def complaints_of(*command: str | Path, cwd: Path | None = None) -> list[str]:
    """Run a program that says what is wrong and exits non-zero then. Blocks until it ends, `TIMEOUT_S` at most."""
    try:
        ended = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [f"{Path(command[0]).name} did not end within {TIMEOUT_S:g} s"]
    if ended.returncode == 0:
        return []
    lines = [line for line in ended.stdout.splitlines() if line.strip()]
    return lines or [f"{Path(command[0]).name} ended with status {ended.returncode}"]
