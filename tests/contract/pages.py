"""The pages that people read, and what is in them: prose, blocks of code, links, anchors."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_NOT_IN_ANCHORS: Final = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """From the root of the project."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """All of it but its blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[str]:
        """Its blocks of code."""
        return [match[2] for match in _FENCE.finditer(self.text)]

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """Its headings as they are linked to: GitHub's rule, with a number for each that is there already."""
        found: dict[str, int] = {}
        anchors = set()
        for heading in _HEADING.findall(self.prose):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
            anchor = _NOT_IN_ANCHORS.sub("", words).replace(" ", "-")
            again = found[anchor] = found.get(anchor, -1) + 1
            anchors.add(f"{anchor}-{again}" if again else anchor)
        return anchors


def pages() -> Iterator[Page]:
    """The README, the changelog, and all of docs/."""
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        yield Page(path, path.read_text(encoding="utf-8"))
