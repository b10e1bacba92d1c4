"""A key for every role: seeds for the programs, and their public halves for the server.

Invariant: a seed is written to a file that only its owner can read, and nowhere else; one that is there is
kept, so that running this again adds what is missing (a new platform) and changes nothing in use.

While keys are changed for others each role has two, the second in `<program>.next.seed`: programs go over to it one
by one, and nobody is refused.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import Fatal
from streams.nkeys import UserKey
from streams.rights import Role

KEYS_FILE: Final = "keys.conf"
_SUFFIXES: Final = (".seed", ".next.seed")
_HEAD: Final = "# The public keys of NATS users, written by `python -m streams keys`. No secrets.\n"


@dataclass(frozen=True, slots=True)
class Key:
    """A role's key: the server's name for it, the file with its seed, its public half, and whether it is new."""

    role: Role
    variable: str
    seed_file: Path
    public: str
    is_new: bool


def make_keys(folder: Path, wanted: Iterable[Role], *, with_next: bool = False) -> list[Key]:
    """A key a role in `folder`, made where it is missing, and `keys.conf`; two of them `with_next`.

    Raises Fatal where that can't be.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = [
            _key(role, variable, folder / f"{role.name}{suffix}")
            for role in wanted
            for variable, suffix in zip(role.variables(with_next=with_next), _SUFFIXES, strict=False)
        ]
        lines = "".join(f"{key.variable}: {key.public}\n" for key in made)
        (folder / KEYS_FILE).write_text(_HEAD + lines, encoding="ascii")
    except OSError as error:
        raise Fatal(f"keys can't be written to {folder}: {error.strerror or error}") from error
    return made


def _key(role: Role, variable: str, file: Path) -> Key:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            return Key(role, variable, file, UserKey(file.read_text(encoding="ascii").strip()).public, is_new=False)
        except ValueError as error:
            raise Fatal(f"{file}: {error}; remove it to have a new one made") from None
    key = UserKey.new()
    with os.fdopen(descriptor, "w", encoding="ascii") as writer:
        writer.write(key.seed + "\n")
    return Key(role, variable, file, key.public, is_new=True)
