"""A program of the product, as far as the supervisor can tell: it answers its health routes until SIGTERM.

With an INTERNAL_PORT the gateway has /metrics there alone, as the real one without a key.
The roles that end at once write what they were given to `STAND_IN_LOG`, as the others do when they start and stop.
`STAND_IN_FAILS` names a role that ends with exit code 3 instead.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import NoReturn


class Ready(BaseHTTPRequestHandler):
    """Always ready."""

    is_public = False

    def do_GET(self) -> None:
        self.send_response(401 if self.is_public and self.path == "/metrics" else 200)
        self.end_headers()
        self.wfile.write(b'{"status": "ready"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


class Public(Ready):
    """The port that is posted to."""

    is_public = True


def note(what: str) -> None:
    """Append a line to the log, as one write."""
    if path := os.environ.get("STAND_IN_LOG"):
        wanted = ("NATS_URL", "DATABASE_URL", "PROVISION_ON_START", "MIGRATE_ON_START")
        entry = {"what": what, "argv": sys.argv[1:], **{name: os.environ.get(name) for name in wanted}}
        with Path(path).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


def stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """A clean stop."""
    note("stopped")
    raise SystemExit(0)


def main() -> int:
    """Play the role that the first argument names."""
    role = sys.argv[1]
    note("started")
    if os.environ.get("STAND_IN_FAILS") == role:
        sys.stdout.write(f"{role} is out of order\n")
        return 3
    if role in ("apply-streams", "migrate"):
        return 0
    signal.signal(signal.SIGTERM, stop)
    port = os.environ["PORT"] if role == "gateway" else sys.argv[sys.argv.index("--ops-port") + 1]
    sys.stdout.write(f"{role} listens\n")
    internal = os.environ.get("INTERNAL_PORT") if role == "gateway" else None
    if internal:
        Thread(target=HTTPServer(("127.0.0.1", int(internal)), Ready).serve_forever, daemon=True).start()
    HTTPServer(("127.0.0.1", int(port)), Public if internal else Ready).serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
