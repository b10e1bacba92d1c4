"""What it costs to know who sends: the same load at a gateway that is open, by key, and signed.

Invariant: the ways take turns, request by request, at two gateways that differ in their senders alone, so that what
else the machine does, and how much is stored already, meets all of them alike. A way's cost is by its rate over
all of its requests, beside that of the open way.
"""

import base64
import hmac
import secrets
import socket
import sys
import time
from asyncio import sleep, subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from gateway.senders import key_hash
from gateway.signatures import Scheme
from loadtest.bench.bodies import Bodies, Sign, unsigned
from loadtest.bench.load_process import LoadProcess
from loadtest.bench.numbers import per_million, per_second, spread
from loadtest.bench.options import BULK_EVENTS, Sizes
from loadtest.bench.processes import Processes
from loadtest.bench.rig import Rig
from loadtest.errors import CannotRun
from loadtest.health import problems
from loadtest.local_stack import ACCESS
from loadtest.sender import credentials

_PATH: Final = "/webhook/events/bulk"
_OPEN, _KEY, _SIGNATURE = "open", "key", "signature"
_SECRET: Final = "SIGNING_SECRET"  # noqa: S105 - the variable's name
_READY_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.1


@dataclass(slots=True)
class _Way:
    """One way to be known: where its requests go, and what came of them."""

    bodies: Bodies
    load: LoadProcess
    gateway: Processes
    took_s: list[float]
    cpu_s: float = 0.0

    async def post(self) -> dict[str, Any]:
        """Its next request."""
        before = self.gateway.snapshot().seconds["gateway"]
        [answer] = (await self.load.bulk(1, connections=1))["requests"]
        self.cpu_s += self.gateway.snapshot().seconds["gateway"] - before
        self.took_s.append(answer["answeredAt"] - answer["sentAt"])
        return dict(answer)

    def forget(self) -> None:
        """What it took so far: the first request warms up, and does not count."""
        self.took_s, self.cpu_s = [], 0.0

    def found(self) -> dict[str, Any]:
        events = len(self.took_s) * BULK_EVENTS
        return {
            "latency": spread(self.took_s),
            "eventsPerSecond": per_second(events, sum(self.took_s)),
            "gatewayCpuSecondsPerMillion": per_million(self.cpu_s, events),
        }


async def authentication(rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """Requests of 50,000, one at a time, each after the one before it is stored: the ways in turns."""
    key, secret = secrets.token_urlsafe(32), secrets.token_bytes(32)
    senders = (
        f'[senders.key]\nkey_hashes = ["{key_hash(key)}"]\n'
        f'[senders.signature]\nsignature = "{Scheme.STANDARD_WEBHOOKS}"\nsecrets = [{{ variable = "{_SECRET}" }}]\n'
    )
    signed: Mapping[str, Sign] = {
        _OPEN: unsigned,
        _KEY: lambda _body: credentials(key),
        _SIGNATURE: lambda body: _standard_webhooks(body, secret),
    }
    whsec = "whsec_" + base64.b64encode(secret).decode()
    async with AsyncExitStack() as stack:
        is_open = await stack.enter_async_context(_gateway(rig, {"AUTH": "open"}))
        guarded = await stack.enter_async_context(_gateway(rig, {"SENDERS": senders, _SECRET: whsec}))
        ways: dict[str, _Way] = {}
        for name, sign in signed.items():
            url, pid = is_open if name == _OPEN else guarded
            bodies = await rig.bodies((1 + sizes.authentication_rounds) * BULK_EVENTS, of=BULK_EVENTS, sign=sign)
            asked = f"{url}{_PATH}?sender={name}" if name == _SIGNATURE else f"{url}{_PATH}"
            load = await stack.enter_async_context(rig.load(bodies, asked))
            ways[name] = _Way(bodies, load, Processes({"gateway": pid}), [])
        answers: list[dict[str, Any]] = []
        names = list(ways)
        for turn in range(1 + sizes.authentication_rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                answers.append(await ways[name].post())
                await rig.stored.until(len(answers) * BULK_EVENTS)
            if turn == 0:
                for way in ways.values():
                    way.forget()
        account = await rig.account([body for way in ways.values() for body in way.bodies.index], answers)
    return {
        "rounds": sizes.authentication_rounds,
        "ways": {name: way.found() for name, way in ways.items()},
        "costs": {name: _cost(ways[_OPEN].took_s, ways[name].took_s) for name in (_KEY, _SIGNATURE)},
        "account": account,
    }


def _cost(without_s: list[float], with_s: list[float]) -> float:
    """The share of the accept rate that is lost; below zero where nothing is, and noise decides."""
    return 1 - sum(without_s) / sum(with_s)


def _standard_webhooks(body: bytes, secret: bytes) -> dict[str, str]:
    """The headers, by the specification. Made before the clock starts, as the sender's work is not ours."""
    message_id, timestamp = f"msg_{secrets.token_hex(8)}", str(int(time.time()))
    mac = hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


@asynccontextmanager
async def _gateway(rig: Rig, access: Mapping[str, str]) -> AsyncIterator[tuple[str, int]]:
    """One more gateway of the stack, ready: its URL and its process. Raises CannotRun."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in rig.env.items() if name not in {*ACCESS, "HOST", "GATEWAY_WORKERS"}}
    process = await subprocess.create_subprocess_exec(
        *(sys.executable, "-m", "gateway"),
        env={
            **kept,
            "PORT": str(port),
            "NATS_URL": rig.stack.nats_url,
            "LOG_LEVEL": "error",
            "SIGNATURE_TOLERANCE": "3600000",  # bodies are signed before they are sent, minutes before on a slow disk
            **access,
        },
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is this program's to answer
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(int(_READY_WITHIN_S / _POLL_S)):
            if process.returncode is not None:
                raise CannotRun("a gateway ended at its start; what it said stands above")
            if not await problems(rig.session, [url]):
                break
            await sleep(_POLL_S)
        else:
            raise CannotRun(f"a gateway was not ready within {_READY_WITHIN_S:g} s")
        yield url, process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
