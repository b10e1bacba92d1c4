"""The links break what they say they break, and nothing else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.faults.link import Link
from tests.servers import free_port

WITHIN_S = 10.0
SILENT_S = 0.2


async def test_bytes_pass_unchanged_both_ways() -> None:
    async with _echo() as link, _connected(link) as (reader, writer):
        sent = bytes(range(256)) * 4096
        writer.write(sent)
        assert await asyncio.wait_for(reader.readexactly(len(sent)), WITHIN_S) == sent


async def test_a_cut_link_breaks_connections_and_takes_no_new_one_until_it_is_mended() -> None:
    async with _echo() as link:
        async with _connected(link) as (reader, writer):
            assert await _echoed(reader, writer) == b"x"
            async with link.cut():
                await _ends(reader)
                async with _connected(link) as (second_reader, _):
                    await _ends(second_reader)
        async with _connected(link) as (reader, writer):
            assert await _echoed(reader, writer) == b"x"


async def test_a_frozen_link_carries_nothing_and_then_everything() -> None:
    async with _echo() as link, _connected(link) as (reader, writer):
        async with link.frozen(reset_after=False):
            writer.write(b"x")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(1), SILENT_S)
        assert await asyncio.wait_for(reader.readexactly(1), WITHIN_S) == b"x"


async def test_a_frozen_link_that_is_reset_loses_what_it_held() -> None:
    async with _echo() as link, _connected(link) as (reader, writer):
        async with link.frozen(reset_after=True):
            writer.write(b"x")
        await _ends(reader)


async def test_a_slow_link_holds_every_piece_back() -> None:
    async with _echo() as link, _connected(link) as (reader, writer), link.delayed(SILENT_S):
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        assert await _echoed(reader, writer) == b"x"
        assert loop.time() - started_s >= 2 * SILENT_S  # there and back


@contextlib.asynccontextmanager
async def _echo() -> AsyncIterator[Link]:
    """A link to a server that sends everything back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    link = Link("echo", port)
    await link.open()
    try:
        yield link
    finally:
        await link.close()
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def _connected(link: Link) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"x")
    return await asyncio.wait_for(reader.readexactly(1), WITHIN_S)


async def _ends(reader: asyncio.StreamReader) -> None:
    """The connection ends, by RST or in order, without a byte."""
    try:
        assert await asyncio.wait_for(reader.read(1), WITHIN_S) == b""
    except ConnectionError:
        return
