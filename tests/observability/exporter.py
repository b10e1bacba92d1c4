"""Debian's postgres_exporter beside the stack of a test, where it is installed."""

import shutil
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from tests.servers import Server

EXPORTER: Final = shutil.which("prometheus-postgres-exporter")


class PostgresExporter(Server):
    """On a free port, for the database of `dsn`."""

    def __init__(self, folder: Path, dsn: str) -> None:
        folder.mkdir()
        super().__init__(folder)
        self._dsn = dsn

    def _command(self) -> tuple[str, ...]:
        assert EXPORTER is not None
        source = f"DATA_SOURCE_NAME={self._dsn}?sslmode=disable"
        return ("/usr/bin/env", source, EXPORTER, f"--web.listen-address=127.0.0.1:{self.port}")

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
