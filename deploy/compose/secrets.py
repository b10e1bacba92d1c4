"""`python -m deploy.compose.secrets [FOLDER]`: the passwords of deploy/compose.yaml, made once.

Invariant: what is there is kept, so that running it again never locks a database out. The folder is its owner's
alone; the files in it are readable, as containers with users of their own get them one by one.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(".secrets")
PASSWORDS: Final = ("postgres_password", "monitor_password", "grafana_password")
ROLES: Final = ("owner", "collector", "reader")
OTHERS: Final = {
    "keys.conf": "python -m streams keys",
    "senders.toml": "python -m gateway keys new",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing, say what only others can make, and return the exit code."""
    parser = argparse.ArgumentParser(prog="deploy.compose.secrets", description="Makes the passwords for compose.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"where (default: {FOLDER})")
    folder: Path = parser.parse_args(arguments).folder
    try:
        made = make(folder)
    except OSError as error:
        sys.stderr.write(f"{folder}: {error.strerror or error}\n")
        return 1
    print(f"{folder}: made {', '.join(made) or 'nothing, all were there'}")
    for name, command in OTHERS.items():
        if not (folder / name).exists():
            print(f"{folder}/{name} is still to be made: {command}")
    return 0


def make(folder: Path) -> list[str]:
    """Make the files that are missing, and return their names. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = {name: secrets.token_hex(24) for name in PASSWORDS} | {
        f"database_url_{role}": f"postgresql://floodgate_{role}:{secrets.token_hex(24)}@postgres:5432/floodgate"
        for role in ROLES
    }
    made = [name for name in wanted if not (folder / name).exists()]
    for name in made:
        (folder / name).write_text(wanted[name] + "\n", encoding="ascii")
    folder.chmod(0o700)
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o644)
    return made


if __name__ == "__main__":
    sys.exit(main())
