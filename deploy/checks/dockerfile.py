"""The instructions of a Dockerfile, as far as this project's own uses the language."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_CONTINUED = re.compile(r"\\\n")
_COMMENT = re.compile(r"^\s*#.*\n", re.MULTILINE)
_PAIR = re.compile(r'(\w+)=("[^"]*"|\S+)')


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: `word` in capitals, `rest` on one line."""

    word: str
    rest: str

    def argv(self) -> list[str]:
        """The exec form. Raises ValueError where it is another one."""
        try:
            argv = json.loads(self.rest.partition("CMD ")[2] if self.word == "HEALTHCHECK" else self.rest)
        except json.JSONDecodeError:
            argv = None
        if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
            raise ValueError(f'{self.word} {self.rest}: takes the exec form, ["program", "argument"]')
        return argv

    def pairs(self) -> dict[str, str]:
        """Of ENV and LABEL."""
        return {name: value.strip('"') for name, value in _PAIR.findall(self.rest)}


@dataclass(frozen=True, slots=True)
class Stage:
    """What follows a FROM."""

    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> Iterator[Instruction]:
        """Those of one kind, in their order."""
        return (one for one in self.instructions if one.word == word)

    def last(self, word: str) -> Instruction:
        """The one that holds. Raises ValueError where there is none."""
        found = list(self.all(word))
        if not found:
            raise ValueError(f"the last stage has no {word}")
        return found[-1]

    def environment(self) -> dict[str, str]:
        """All of ENV."""
        return {name: value for one in self.all("ENV") for name, value in one.pairs().items()}


def stages_of(path: Path) -> list[Stage]:
    """The stages of a Dockerfile. Raises ValueError where there is none, OSError where it can't be read."""
    stages: list[Stage] = []
    text = _CONTINUED.sub(" ", _COMMENT.sub("", path.read_text(encoding="utf-8")))
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word.upper() == "FROM":
            stages.append(Stage(rest.partition(" ")[0]))
        elif stages:
            stages[-1].instructions.append(Instruction(word.upper(), rest.strip()))
    if not stages:
        raise ValueError(f"{path.name} has no FROM")
    return stages
