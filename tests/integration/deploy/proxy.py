"""nginx with the shipped configuration on free ports of this machine."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.checks.check import ROOT, MissingTool, tool
from deploy.checks.placed_nginx import INTERNAL, PUBLIC, TLS, place
from deploy.local import probes
from tests.integration.gateway.conftest import WAIT_S, eventually
from tests.servers import free_port


@dataclass(frozen=True)
class Proxy:
    """One that runs."""

    port: int
    internal_port: int
    log: Path

    @property
    def url(self) -> str:
        """What is public."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def internal_url(self) -> str:
        """What is not."""
        return f"http://127.0.0.1:{self.internal_port}"


@asynccontextmanager
async def proxy(gateways: Sequence[str]) -> AsyncIterator[Proxy]:
    """Start nginx in front of these addresses (host:port). Skips the test where there is no nginx."""
    try:
        nginx = tool("nginx", "apt-get install nginx-light")
    except MissingTool as missing:
        pytest.skip(str(missing))
    with tempfile.TemporaryDirectory(prefix="floodgate-nginx-") as name:
        running, main = _placed(Path(name), gateways)
        with running.log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                nginx, "-e", "stderr", "-p", name, "-c", main, "-g", "daemon off;", stdout=output, stderr=output
            )

        async def answers() -> bool:
            assert process.returncode is None, running.log.read_text()
            return await probes.http_ok(f"{running.internal_url}/alive")

        try:
            await eventually(answers)
            yield running
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), WAIT_S)


def _placed(folder: Path, gateways: Sequence[str]) -> tuple[Proxy, Path]:
    folder.chmod(0o755)  # started by root, its workers are nobody, and buffer long answers in here
    ports = {PUBLIC: free_port(), INTERNAL: free_port(), TLS: free_port()}
    main = place(ROOT / "deploy/nginx", folder, ports=ports, gateways=gateways)
    return Proxy(ports[PUBLIC], ports[INTERNAL], folder / "nginx.log"), main
