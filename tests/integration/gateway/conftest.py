"""A real gateway on a free port, against the session's NATS server, with streams of its own."""

import asyncio
import io
import json
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import nats
import psutil
import pytest
import pytest_asyncio
import structlog
from nats.js.errors import NotFoundError
from structlog.testing import LogCapture

from gateway import senders
from gateway.app import AllSettings, Gateway
from gateway.settings import AccessSettings, GatewaySettings
from shared.events import REGISTRY
from shared.lifecycle import Shutdown
from shared.metrics import GatewayMetrics
from shared.tracing import NO_TRACER
from streams.definitions import definitions
from streams.settings import NatsSettings, PublishSettings, StreamSettings
from streams.subjects import Names
from tests.integration.gateway.guarding import SECRETS, SENDERS
from tests.integration.gateway.nonsense import MAX_BODY_BYTES, MAX_EVENTS
from tests.servers import NatsServer

WAIT_S = 15.0
POLL_S = 0.01
READ_AT_ONCE = 50
STREAM_BYTES = 64 * 1024 * 1024
"""Streams of the tests share a server: small ones leave each other room."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def correlation_id(self) -> str:
        """As the header has it."""
        return self.headers["x-correlation-id"]


@dataclass(frozen=True)
class Stored:
    """A message of a stream."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Running:
    """A gateway that runs, its client, and a look at what its streams hold."""

    gateway: Gateway
    shutdown: Shutdown
    task: asyncio.Task[None]
    session: aiohttp.ClientSession
    names: Names
    nats_url: str
    log: LogCapture

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.gateway.url

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        """Send a request, and read the answer whole."""
        async with self.session.request(method, self.url + path, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.request("GET", path)

    async def post(self, body: Any, *, path: str = "/webhook/events/bulk", **headers: str) -> Answer:
        """POST a body as it is; underscores in header names stand for hyphens."""
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        return await self.request("POST", path, data=data, headers=sent)

    async def ready(self) -> Answer:
        """Wait until it is ready."""
        return await self.answer_of("/health/ready", lambda answer: answer.status == 200)

    async def answer_of(self, path: str, condition: Callable[[Answer], bool]) -> Answer:
        """GET until the answer is as wanted."""
        last: list[Answer] = []

        async def asked() -> bool:
            last[:] = [await self.get(path)]
            return condition(last[0])

        try:
            await eventually(asked)
        except TimeoutError:
            raise AssertionError(f"{path} stayed {last}") from None
        return last[0]

    async def stored(self, source: str) -> list[Stored]:
        """All messages of a source's stream."""
        client = await nats.connect(self.nats_url)
        try:
            stream = self.names.stream(source)
            state = (await client.jetstream().stream_info(stream)).state
            sequences, messages = range(max(1, state.first_seq), state.last_seq + 1), []
            for start in range(0, len(sequences), READ_AT_ONCE):
                asked = [
                    client.jetstream().get_msg(stream, seq=sequence)
                    for sequence in sequences[start : start + READ_AT_ONCE]
                ]
                messages += await asyncio.gather(*asked)
            return [Stored(message.headers or {}, message.data or b"") for message in messages]
        finally:
            await client.close()

    async def stored_ids(self, source: str, correlation_id: str | None = None) -> list[str]:
        """Ids of all events in a source's stream, in their order; of one correlation id, where one is given."""
        found = []
        for message in await self.stored(source):
            events, owners = json.loads(message.body), message.headers["Floodgate-Correlation-Id"].split(" ")
            if len(owners) == 1:  # not a group of single events, each with an owner of its own
                owners *= len(events)
            found += [
                event["eventId"] for event, owner in zip(events, owners, strict=True) if correlation_id in {None, owner}
            ]
        return found

    def in_flight(self) -> tuple[float, float]:
        """Requests and bytes that are booked, by the metrics."""
        registry = self.gateway._metrics.registry
        requests = registry.get_sample_value("gateway_requests_in_flight")
        held = registry.get_sample_value("gateway_bytes_in_flight")
        assert requests is not None
        assert held is not None
        return requests, held

    async def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        self.shutdown.request()
        await asyncio.wait_for(self.task, WAIT_S)


Start = Callable[..., Awaitable[Running]]


async def eventually(condition: Callable[[], Awaitable[bool] | bool], within_s: float = WAIT_S) -> None:
    """Return once the condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come to hold")
        await asyncio.sleep(POLL_S)


async def pause(server: NatsServer) -> None:
    """Pause a server, and wait until it stands still: the signal takes its time to reach every thread."""
    server.pause()
    await eventually(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED)


async def delete_streams(url: str, prefix: str) -> None:
    """Make room on the server that the tests share."""
    client = await nats.connect(url)
    try:
        for definition in definitions(REGISTRY.sources, StreamSettings(prefix=prefix)):
            try:
                await client.jetstream().delete_stream(definition.name)
            except NotFoundError:
                continue
    finally:
        await client.close()


async def start_gateway(stack: AsyncExitStack, url: str, **changes: Any) -> Running:
    """Start one; everything it needs is taken down with the stack. `changes`: fields of any settings section.

    `message_events`: events in a message. `ready=False` returns once it listens, `keep=True` leaves its streams.
    """
    tracer, own_log = changes.pop("tracer", NO_TRACER), changes.pop("log", None)
    wait_until_ready, keep = changes.pop("ready", True), changes.pop("keep", False)
    prefix = changes.pop("prefix", f"T{uuid.uuid4().hex[:12].upper()}_")

    in_message = {"batch_events": changes.pop("message_events")} if "message_events" in changes else {}

    def section(kind: Any, **defaults: Any) -> Any:
        mine = {name: changes.pop(name) for name in list(changes) if name in kind.model_fields}
        return kind(**defaults | mine)

    settings = AllSettings(
        gateway=section(GatewaySettings, port=0, backlog_interval_ms=100),
        nats=section(NatsSettings, url=url, reconnect_wait_ms=50),
        streams=section(StreamSettings, prefix=prefix, max_bytes=STREAM_BYTES),
        publish=section(PublishSettings, timeout_ms=2_000, retry_wait_ms=10, **in_message),
        access=section(AccessSettings),
    )
    known = settings.access.senders
    assert not changes, f"no setting is called {list(changes)}"
    shutdown, log = Shutdown(), LogCapture()
    gateway = Gateway(
        settings,
        registry=REGISTRY,
        shutdown=shutdown,
        log=own_log
        or structlog.wrap_logger(
            None, processors=[log], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
        ),
        metrics=GatewayMetrics(),
        senders=senders.load(known, REGISTRY.sources, os.environ) if known is not None else None,
        tracer=tracer,
    )
    if not keep:
        stack.push_async_callback(delete_streams, url, prefix)
    task = asyncio.create_task(gateway.run())

    async def stop() -> None:
        shutdown.request()
        shutdown.request()
        await asyncio.wait({task}, timeout=WAIT_S)
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)
    session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
    listening = asyncio.create_task(gateway.listening.wait())
    await asyncio.wait({task, listening}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if task.done():
        task.result()
    running = Running(gateway, shutdown, task, session, Names(prefix), url, log)
    if wait_until_ready:
        await running.ready()
    return running


@pytest.fixture
async def start(nats_url: str) -> AsyncIterator[Start]:
    """Starts gateways with settings of the test's choice."""
    async with AsyncExitStack() as stack:

        async def starter(**changes: Any) -> Running:
            return await start_gateway(stack, changes.pop("url", nats_url), **changes)

        yield starter


@pytest.fixture
async def gateway(start: Start) -> Running:
    """A gateway with usual settings."""
    return await start()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_gateway(nats_server: NatsServer) -> AsyncIterator[Running]:
    """The one gateway of a file."""
    async with AsyncExitStack() as stack:
        yield await start_gateway(
            stack, nats_server.url, max_bulk_events=MAX_EVENTS, max_body_bytes=MAX_BODY_BYTES, max_reported_errors=20
        )


@pytest.fixture
async def guarded(start: Start, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A gateway with senders."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return await start(senders=SENDERS)
