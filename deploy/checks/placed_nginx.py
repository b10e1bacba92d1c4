"""The shipped nginx configuration, placed on this machine: other ports, folders and gateways, else word for word.

Invariant: what can't be here (the container network's names, its ports, its paths) is replaced, and each
replacement must find what it replaces: a configuration that has moved on is not checked in an old shape.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

PUBLIC, INTERNAL, TLS = 8080, 8081, 8443
"""The ports that the shipped files listen on."""

SERVERS: Final = "servers"
"""The folder that stands for /etc/floodgate: a file in it is one more server."""

_GATEWAY: Final = re.compile(r"^( *)server gateway:\d+ resolve (.*);$", re.MULTILINE)
_RESOLVER: Final = re.compile(r"^resolver .*;$", re.MULTILINE)


def place(source: Path, folder: Path, *, ports: Mapping[int, int], gateways: Sequence[str]) -> Path:
    """Copy the configuration in `source` to `folder`, and return the main file.

    `ports` maps the shipped ports to those to listen on here, all of them on loopback; `gateways` are addresses,
    host:port, that serve as public and as internal ones. Raises ValueError where something to replace is not there.
    """
    shutil.copytree(source, folder, dirs_exist_ok=True)
    main, upstream, tls = folder / "nginx.conf", folder / "upstream.conf", folder / "tls.conf"
    text = _replaced(main, "/tmp/", f"{folder}/")  # noqa: S108 - the container's, which is to go
    text = _replace(main, text, "/etc/floodgate/", f"{folder}/{SERVERS}/")
    for shipped in (PUBLIC, INTERNAL):
        text = _replace(main, text, f"listen {shipped} ", f"listen 127.0.0.1:{ports[shipped]} ")
    main.write_text(text, encoding="utf-8")
    tls.write_text(_replaced(tls, f"listen {TLS} ", f"listen 127.0.0.1:{ports[TLS]} "), encoding="utf-8")
    text = upstream.read_text(encoding="utf-8")
    if len(_GATEWAY.findall(text)) != 2 or not _RESOLVER.search(text):
        raise ValueError(f"{upstream.name}: takes a resolver, and gateway:PORT with `resolve` in both upstreams")
    text = _RESOLVER.sub("", text)
    text = _GATEWAY.sub(lambda line: "\n".join(f"{line[1]}server {one} {line[2]};" for one in gateways), text)
    upstream.write_text(text, encoding="utf-8")
    return main


def _replaced(path: Path, old: str, new: str) -> str:
    return _replace(path, path.read_text(encoding="utf-8"), old, new)


def _replace(path: Path, text: str, old: str, new: str) -> str:
    if old not in text:
        raise ValueError(f"{path.name}: {old.strip()!r} is not there, so it can't be placed here")
    return text.replace(old, new)
