"""The shipped nginx in front of the gateways, on this machine.

Invariant: what it runs is `deploy/nginx` with other ports and gateways, else word for word; and when `send_to` returns,
no worker of it knows any other gateway than those that were named.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from deploy.checks.check import ROOT, MissingTool, tool
from deploy.checks.placed_nginx import INTERNAL, PUBLIC, TLS, place
from deploy.local import probes
from deploy.local.child import Child, ChildSpec
from deploy.local.errors import StackError
from deploy.local.identity import launch

CONFIGURATION: Final = ROOT / "deploy" / "nginx"
GRACE_S: Final = 10.0
RELOADED_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.02


class Balancer:
    """nginx with its files in `folder`, on loopback: a public listener, an internal one, and a place for TLS."""

    def __init__(self, folder: Path, *, public_port: int, internal_port: int, tls_port: int) -> None:
        self.url = f"http://127.0.0.1:{public_port}"
        self.internal_url = f"http://127.0.0.1:{internal_port}"
        self._folder = folder
        self._ports: Mapping[int, int] = {PUBLIC: public_port, INTERNAL: internal_port, TLS: tls_port}

    def spec(self, gateways: Sequence[str], environment: Mapping[str, str]) -> ChildSpec:
        """What starts it in front of these addresses (host:port). Raises StackError where there is no nginx."""
        try:
            nginx = tool("nginx", "apt-get install nginx-light")
        except MissingTool as missing:
            raise StackError(str(missing)) from None
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o755)  # started by root, its workers are nobody, and buffer long answers in here
        main = self._place(gateways)
        words = (nginx, "-e", "stderr", "-p", str(self._folder), "-c", str(main), "-g", "daemon off;")
        return ChildSpec(
            name="nginx",
            argv=launch(words, death_signal=signal.SIGTERM),
            environment=environment,
            is_ready=lambda: probes.http_ok(f"{self.internal_url}/alive"),
            stop_signal=signal.SIGQUIT,  # requests in flight are answered
            grace_s=GRACE_S,
            shows=lambda line: not line.startswith("{"),  # a line for each request
        )

    async def send_to(self, gateways: Sequence[str], child: Child) -> None:
        """Sends what comes from now on to these addresses alone. Raises StackError where that takes a minute.

        Workers of the old configuration answer what they have, and are waited for.
        """
        self._place(gateways)
        if child.pid is None:
            raise StackError("nginx has ended, so it can't be reloaded")
        master = psutil.Process(child.pid)
        old = set(master.children())
        os.kill(child.pid, signal.SIGHUP)
        try:
            async with asyncio.timeout(RELOADED_WITHIN_S):
                while (now := set(master.children())) & old or not now:  # noqa: ASYNC110 - another program cannot set our event
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise StackError(f"nginx did not take its new configuration within {RELOADED_WITHIN_S:g} s") from None

    def _place(self, gateways: Sequence[str]) -> Path:
        return place(CONFIGURATION, self._folder, ports=self._ports, gateways=gateways)
