"""One network link: a TCP proxy on loopback that can be cut, slowed, frozen and reset.

Invariant: bytes are never changed or reordered. They pass, pass late, or the connection is broken. A frozen link is
what a half-open connection looks like from both ends: it takes bytes and connections, and nothing comes of them.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Final

from tests.servers import free_port

READ_BYTES: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s: close() sends RST instead of FIN


class Link:
    """From a port of its own to `target_port`. Lives in one event loop."""

    def __init__(self, name: str, target_port: int) -> None:
        self.name = name
        self.port = free_port()
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._is_cut = False
        self._delay_s = 0.0

    async def open(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Break everything, and take no more."""
        if self._server is not None:
            self._server.close()
        self.reset()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def reset(self) -> None:
        """Break every connection with RST; new ones are taken."""
        for writer in self._writers:
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Break every connection, and each new one, for the length of the block."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()
        try:
            yield
        finally:
            self._is_cut = False

    @contextlib.asynccontextmanager
    async def delayed(self, delay_s: float) -> AsyncIterator[None]:
        """Hold every piece back for `delay_s`, each way."""
        self._delay_s = delay_s
        try:
            yield
        finally:
            self._delay_s = 0.0

    @contextlib.asynccontextmanager
    async def frozen(self, *, reset_after: bool) -> AsyncIterator[None]:
        """Half-open: forward nothing. Afterwards what was held flows on, or (`reset_after`) is lost with its
        connection, as when a machine comes back that has forgotten it.
        """
        self._flowing.clear()
        try:
            yield
        finally:
            if reset_after:
                self.reset()
            self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._is_cut:
                return
            await self._flowing.wait()  # the handshake is answered by the kernel; nothing else is
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            return  # nobody listens there now: the near end learns it by the close
        else:
            self._writers.add(far_writer)
            if not self._is_cut:
                await self._carry((reader, far_writer), (far_reader, writer))
            self._writers.discard(far_writer)
            far_writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _carry(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Both ways, until one of them ends: half-closed connections are not in use here."""
        pumps = [asyncio.create_task(self._pump(*way)) for way in ways]
        self._pumps.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._pumps.difference_update(pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # broken: the other way ends with this one
            while piece := await reader.read(READ_BYTES):
                await self._flowing.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                writer.write(piece)
                await writer.drain()
