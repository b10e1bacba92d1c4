"""A whole system for the browser: real servers, a gateway, a collector a platform, each a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from gateway.console.examples import examples
from shared.events import REGISTRY
from tests.servers import NatsServer, PostgresServer, free_port, wait_until

ROOT = Path(__file__).parents[2]
READY_S = 30.0
KEPT_VARIABLES = {"PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR"}


@dataclass
class Stack:
    """Started by `start`; a test that breaks a server mends it (`restart`) before it ends."""

    nats: NatsServer = field(default_factory=NatsServer)
    postgres: PostgresServer = field(default_factory=PostgresServer)
    port: int = field(default_factory=free_port)
    programs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Stack":
        """All of it; returns when the gateway is ready and both collectors are heard."""
        self.nats.start()
        self.postgres.start()
        self.run("gateway", "-m", "gateway")
        for source in REGISTRY.sources:  # one after the other: the first makes the tables
            self.run(source, "-m", "collectors", "--source", source)
            self.wait_for(f"the {source} collector", lambda source=source: source in self.heard())  # type: ignore[misc]  # bound now
        self.wait_for("the gateway", self.is_ready)
        return self

    def run(self, name: str, *arguments: str) -> None:
        """Start a program of the product."""
        environment = {key: value for key, value in os.environ.items() if key in KEPT_VARIABLES} | {
            "NATS_URL": self.nats.url, "DATABASE_URL": self.postgres.url, "PORT": str(self.port), "OPS_PORT": "0",
            "NATS_RECONNECT_WAIT": "50", "STORE_RETRY_WAIT": "50", "BACKLOG_INTERVAL": "200", "LOG_LEVEL": "error",
        }  # fmt: skip
        self.programs[name] = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment)

    def stop(self, name: str) -> None:
        """End a program in order."""
        program = self.programs.pop(name)
        program.terminate()
        program.wait(READY_S)

    def close(self) -> None:
        """End everything."""
        for name in list(self.programs):
            self.stop(name)
        self.nats.close()
        self.postgres.close()

    def is_ready(self) -> bool:
        """Whether the gateway takes events."""
        return self.get("/health/ready")[0] == 200

    def heard(self) -> set[str]:
        """Sources whose collector works, as the console's stream says."""
        snapshot = self.snapshot()
        return {one["source"] for one in snapshot["replicas"] if one["state"] in {"idle", "fetching", "storing"}}

    def snapshot(self) -> Any:
        """The next one of the stream; an empty one while there is none."""
        try:
            with urllib.request.urlopen(f"{self.url}/console/stream", timeout=5) as answer:
                for line in answer:
                    if line.startswith(b"data: ") and b'"replicas"' in line:
                        return json.loads(line.removeprefix(b"data: "))
        except OSError:
            pass
        return {"replicas": []}

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, None
        except OSError:
            return 0, None

    def post(self, events: Sequence[Mapping[str, Any]], *, check: bool = True) -> str:
        """Post a bulk, of which all must be taken unless told otherwise; its correlation id."""
        sent = f"browser-{uuid.uuid4()}"
        request = urllib.request.Request(
            f"{self.url}/webhook/events/bulk",
            data=json.dumps(events).encode(),
            headers={"Content-Type": "application/json", "x-correlation-id": sent},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.loads(answer.read())["failed"] == 0 or not check
        return sent

    def settled(self, correlation_id: str, **figures: int) -> None:
        """Return once its receipt is complete, with these figures."""

        def is_so() -> bool:
            found = self.get(f"/webhook/events/bulk/{correlation_id}")[1]
            return bool(found) and found["complete"] and all(found[name] == figure for name, figure in figures.items())

        self.wait_for(f"the receipt with {figures}", is_so)

    def execute(self, statement: str) -> list[Any]:
        """Run SQL; its rows. In a thread, as the browser's driver has a loop in this one."""

        async def fetch() -> list[Any]:
            connection = await asyncpg.connect(self.postgres.url)
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(lambda: asyncio.run(fetch())).result()

    def park(self, count: int, city: str) -> str:
        """Have `count` events dead-lettered, by a constraint that refuses their city; their correlation id."""
        self.execute("ALTER TABLE events_facebook DROP CONSTRAINT IF EXISTS city_is_known")
        self.execute(
            "ALTER TABLE events_facebook ADD CONSTRAINT city_is_known CHECK "
            f"((data->'user'->'location'->>'city') <> '{city}') NOT VALID"
        )
        parked = self.post([event("facebook", city=city) for _ in range(count)])
        self.settled(parked, deadLettered=count)
        return parked

    def accept_all_cities(self) -> None:
        """Mend what `park` has broken."""
        self.execute("ALTER TABLE events_facebook DROP CONSTRAINT IF EXISTS city_is_known")

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Return once it is so."""
        assert wait_until(condition, within_s=READY_S), f"{what} did not come in {READY_S:g} s"


def event(source: str, *, city: str = "Lisbon") -> dict[str, Any]:
    """A new valid event."""
    example: dict[str, Any] = deepcopy(next(one["event"] for one in examples(REGISTRY) if one["source"] == source))
    example["eventId"] = f"{source}-{uuid.uuid4()}"
    example["data"]["user"]["userId"] = f"user-{uuid.uuid4()}"
    if "location" in example["data"]["user"]:
        example["data"]["user"]["location"] = {"country": "Portugal", "city": city}
    return example


def bulk(count: int) -> list[dict[str, Any]]:
    """Events of all platforms by turns."""
    return [event(REGISTRY.sources[at % len(REGISTRY.sources)]) for at in range(count)]
