"""A real Prometheus beside the stack of a test, with the configuration that is shipped.

All that is different from a production one is how often it looks: a test is over in seconds.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import orjson

from tests.servers import Server

SHIPPED: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
PROGRAM: Final = shutil.which("prometheus")
ANSWER_WITHIN_S: Final = 5.0


class PrometheusServer(Server):
    """Debian's prometheus on a free port. `targets` are addresses by the name of their file in targets/."""

    def __init__(self, folder: Path, targets: Mapping[str, Sequence[str]], *, every: str = "1s") -> None:
        super().__init__(folder)
        shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
        for name, addresses in targets.items():
            (folder / "targets" / f"{name}.yml").write_text(orjson.dumps([{"targets": list(addresses)}]).decode())
        config = folder / "prometheus.yml"
        text = config.read_text()
        for setting, shipped in (("scrape_interval", "5s"), ("scrape_timeout", "4s"), ("evaluation_interval", "5s")):
            assert f"  {setting}: {shipped}\n" in text
            text = text.replace(f"  {setting}: {shipped}\n", f"  {setting}: {every}\n")
        config.write_text(text)

    @property
    def url(self) -> str:
        """Of its HTTP API."""
        return f"http://127.0.0.1:{self.port}"

    def query(self, expr: str) -> list[dict[str, Any]]:
        """What an instant query answers: a dict a series, with its labels under `metric`. Blocks."""
        return self._get("/api/v1/query", query=expr)["result"]  # type: ignore[no-any-return]  # JSON

    def value(self, expr: str) -> float | None:
        """The query's one number; None where it has none."""
        found = self.query(expr)
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {one["labels"]["alertname"] for one in self._get("/api/v1/alerts")["alerts"] if one["state"] == "firing"}

    def targets_up(self) -> dict[str, str]:
        """What became of the last scrape of each target: its error, or ""."""
        return {one["labels"]["instance"]: one["lastError"] for one in self._get("/api/v1/targets")["activeTargets"]}

    def _get(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self.url}{path}?{urlencode(parameters)}", timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310 - its own address
            return orjson.loads(answer.read())["data"]

    def _command(self) -> tuple[str, ...]:
        assert PROGRAM is not None
        return (
            PROGRAM,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        )

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=1) as answer:  # noqa: S310 - its own address
                return bool(answer.status == 200)
        except OSError:
            return False
