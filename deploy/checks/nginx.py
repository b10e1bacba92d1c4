"""The proxy's configuration, by nginx itself: as it is shipped, and with its TLS listener."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from deploy.checks.check import Check, complaints_of, tool
from deploy.checks.placed_nginx import INTERNAL, PUBLIC, SERVERS, TLS, place

_PORTS: Final = {PUBLIC: 18080, INTERNAL: 18081, TLS: 18443}
"""None of them is opened by a test of a configuration."""


def _plain(root: Path) -> Iterable[str]:
    with tempfile.TemporaryDirectory(prefix="floodgate-nginx-") as folder:
        return _complaints(root, Path(folder))


def _tls(root: Path) -> Iterable[str]:
    openssl = tool("openssl", "apt-get install openssl")
    with tempfile.TemporaryDirectory(prefix="floodgate-nginx-") as name:
        folder = Path(name)
        key, certificate = folder / "tls_key", folder / "tls_certificate"
        made = complaints_of(
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
            "-keyout", key, "-out", certificate,
        )  # fmt: skip
        return made or _complaints(root, folder, with_tls=True)


def _complaints(root: Path, folder: Path, *, with_tls: bool = False) -> list[str]:
    nginx = tool("nginx", "apt-get install nginx-light")
    source = root / "deploy/nginx"
    if not source.is_dir():
        return ["deploy/nginx is missing"]
    try:
        main = place(source, folder, ports=_PORTS, gateways=["127.0.0.1:13000", "127.0.0.1:13001"])
    except ValueError as error:
        return [str(error)]
    if with_tls:
        tls = (folder / "tls.conf").read_text(encoding="utf-8").replace("/run/secrets/", f"{folder}/")
        (folder / SERVERS).mkdir()
        (folder / SERVERS / "tls.conf").write_text(tls, encoding="utf-8")
    said = complaints_of(nginx, "-t", "-q", "-e", "stderr", "-p", folder, "-c", main)
    return [line.replace(f"{folder}/", "deploy/nginx/") for line in said]


CHECKS: Final = (
    Check("nginx", "the proxy's configuration, by nginx -t", _plain),
    Check("nginx-tls", "the same with its TLS listener", _tls),
)
