"""What this machine allows at most: each part of the way alone, with nothing else running.

Invariant: every ceiling is measured on the same servers, with the same events and at the same minute as the figures
that stand beside it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from gateway.body import MediaType
from gateway.decode import split
from loadtest.bench import materials, postgres
from loadtest.bench.bodies import Bodies
from loadtest.bench.load_process import load_process
from loadtest.bench.materials import Materials
from loadtest.bench.meter import Meter
from loadtest.bench.numbers import per_second
from loadtest.bench.stack import Stack
from shared import logs
from shared.events import REGISTRY, EventValidator
from shared.metrics import RoleMetrics
from shared.settings import LogSettings
from streams.connection import Connection
from streams.definitions import definitions
from streams.provision import provision
from streams.publisher import Publisher
from streams.settings import NatsSettings, PublishSettings, StreamSettings
from streams.subjects import Names

_Flushes = dict[str, list[postgres.Tables]]
"""Source → its flushes, encoded."""

_STREAMS: Final = StreamSettings(prefix="BENCH_", max_bytes=4 * 1024**3)
_PUBLISHERS: Final = 64
"""At once: as many messages of one request as the gateway has under way."""

_MAX_BULK_EVENTS: Final = 50_000


async def postgres_ceilings(stack: Stack, meter: Meter, made: Materials) -> dict[str, Any]:
    """COPY + ON CONFLICT by a plain loader and of encoded rows, and COPY straight, into tables like the product's."""
    flushes = await asyncio.to_thread(_flushes, made)
    async with postgres.twin_tables(stack.dsn, list(flushes)):
        staged = await _measured(meter, made, postgres.staged(stack.dsn, flushes))
    return {"postgresStaged": staged} | await _straight_and_loader(stack, meter, made, flushes)


async def loader_again(stack: Stack, meter: Meter, made: Materials) -> dict[str, Any]:
    """The plain loader once more. Both times count: a machine that is shared is not the same a minute later."""
    flushes = await asyncio.to_thread(_flushes, made)
    found = await _straight_and_loader(stack, meter, made, flushes)
    return {"postgresLoaderAgain": found["postgresLoader"]}


async def _straight_and_loader(stack: Stack, meter: Meter, made: Materials, flushes: _Flushes) -> dict[str, Any]:
    """The rows of the loader are read back from what was copied straight. Empties `flushes`: both are large."""
    sources = list(flushes)
    async with postgres.twin_tables(stack.dsn, sources):
        straight = await _measured(meter, made, postgres.straight(stack.dsn, flushes))
        flushes.clear()
        records = await postgres.records(stack.dsn, sources, flush_events=materials.FLUSH_EVENTS)
    async with postgres.twin_tables(stack.dsn, sources):
        loader = await _measured(meter, made, postgres.loaded(stack.dsn, records))
    return {"postgresLoader": loader, "postgresCopy": straight}


async def _measured(meter: Meter, made: Materials, writing: Awaitable[float]) -> dict[str, Any]:
    with meter.measured(made.events) as cost:
        seconds = await writing
    return _result(made.events, seconds, cost)


def _flushes(made: Materials) -> _Flushes:
    rows = materials.flushes(made.messages)
    return {source: [postgres.tables_of(flush) for flush in some] for source, some in rows.items()}


async def jetstream_ceiling(stack: Stack, meter: Meter, made: Materials) -> dict[str, Any]:
    """Publishing the messages to streams like the product's, acknowledged one by one."""
    log = logs.configure(LogSettings(level="error"), role="bench")
    connection = Connection(NatsSettings(url=stack.nats_url), name="bench", log=log, metrics=RoleMetrics("bench"))
    await connection.open()
    try:
        await provision(connection, definitions(REGISTRY.sources, _STREAMS))
        publisher, names = Publisher(connection, PublishSettings(), metrics=None), Names(_STREAMS.prefix)
        left = iter(made.messages)

        async def publish_in_turn() -> None:
            for message in left:
                await publisher.publish(names.events(message.source), message.body, message.headers.encode())

        with meter.measured(made.events) as cost:
            began = time.monotonic()
            await asyncio.gather(*(publish_in_turn() for _ in range(_PUBLISHERS)))
            seconds = time.monotonic() - began
    finally:
        await connection.close()
    return {"jetstream": _result(made.events, seconds, cost) | {"messages": len(made.messages)}}


async def code_ceilings(meter: Meter, made: Materials) -> dict[str, Any]:
    """Our own code without I/O, on one core: the gateway's splitting and validating, the collectors' rows."""
    validator = EventValidator(max_event_bytes=materials.MAX_EVENT_BYTES)
    with meter.measured(made.events) as cost:
        began = time.monotonic()
        for body in made.bodies:
            for piece in await split(bytearray(body), MediaType.JSON, single=False, max_events=_MAX_BULK_EVENTS):
                validator.validate(bytes(piece))
        seconds = time.monotonic() - began
    validated = _result(made.events, seconds, cost)
    builders = materials.builders()
    with meter.measured(made.events) as cost:
        began = time.monotonic()
        for message in made.messages:
            builders[message.source].build(message.body, message.headers)  # dropped at once, as after a flush
        seconds = time.monotonic() - began
    return {"validate": validated, "rows": _result(made.events, seconds, cost)}


async def bare_bulk(bodies: Bodies, meter: Meter) -> dict[str, Any]:
    """A bare aiohttp server reading bulk bodies: what receiving alone costs."""
    async with _bare_server() as url, load_process(bodies, url) as load:
        with meter.measured(bodies.valid, load.pid) as cost:
            result = await load.bulk(len(bodies.index), connections=1)
    spent = [request["answeredAt"] - request["sentAt"] for request in result["requests"]]
    return {"aiohttpBulk": _result(bodies.valid, sum(spent), cost)}


async def bare_single(bodies: Bodies, meter: Meter, *, seconds: float, connections: int) -> dict[str, Any]:
    """A bare aiohttp server answering one small body a request, on as many connections."""
    async with _bare_server() as url, load_process(bodies, url) as load:
        with meter.measured(len(bodies.index), load.pid) as cost:
            result = await load.single(seconds, connections=connections)
    answered = len(result["latencies"])
    return {"aiohttpSingle": _result(answered, result["spanSeconds"], cost)}


@asynccontextmanager
async def _bare_server() -> AsyncIterator[str]:
    """An aiohttp server, in this process and on its event loop, which reads a body and answers."""

    async def read(request: web.Request) -> web.Response:
        async for _ in request.content.iter_any():
            pass
        return web.Response(body=b"{}", content_type="application/json")

    app = web.Application()
    app.router.add_post("/", read)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


def _result(events: int, seconds: float, cost: dict[str, Any]) -> dict[str, Any]:
    return {"events": events, "seconds": seconds, "eventsPerSecond": per_second(events, seconds), "cpu": cost}
