"""The workflows of CI: by GitHub's schema, each job bounded in time, each action pinned to a commit."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.checks.check import Check, complaints_of, tool

FOLDER: Final = ".github/workflows"
SCHEMAS: Final = ("vendor.github-workflows", "custom.github-workflows-require-timeout")
_USES: Final = re.compile(r"^\s*(?:- )?uses:\s*(\S+)", re.MULTILINE)
_PINNED: Final = re.compile(r"\S+@[0-9a-f]{40}")


def _workflows(root: Path) -> Iterator[str]:
    check = tool("check-jsonschema", "it comes with requirements/deploy.txt, which `make check-deploy` installs")
    files = sorted((root / FOLDER).glob("*.yml"))
    if not files:
        yield f"{FOLDER} holds no workflow"
    for file in files:
        for schema in SCHEMAS:
            yield from complaints_of(check, "--builtin-schema", schema, file)
        for action in _USES.findall(file.read_text(encoding="utf-8")):
            if not _PINNED.fullmatch(action):
                yield f"{file.name}: {action} can change under us: name the commit, action@<40 digits>"


CHECKS: Final = (Check("workflows", "CI, by GitHub's schema, with pinned actions", _workflows),)
