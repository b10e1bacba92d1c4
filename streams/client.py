"""The nats-py client with what it lacks: keys in memory, TLS that is not given up, and an end that is always told.

Invariant: where the settings ask for TLS, nothing is sent to a server that offers none, neither credentials
nor a message. nats-py by itself would go on in plain text, even with `tls://`, as the server decides.
"""

import asyncio
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from streams.settings import NatsSettings

PENDING_BYTES: Final = 8 * 1024 * 1024
"""Outbound buffer. The publisher sends nothing while disconnected, so this only smooths bursts."""


class TlsNotOffered(nats.errors.Error):
    """The settings ask for TLS, and the server speaks plain text."""

    def __str__(self) -> str:
        return "the server offers no TLS"


class NatsClient(Client):
    """One client by these settings. Replies come to inboxes under a prefix of its name's own (`inbox_prefix`)."""

    def __init__(self, settings: NatsSettings, *, name: str) -> None:
        super().__init__()
        self._floodgate = settings
        self._floodgate_name = name

    async def open(self, **callbacks: object) -> None:
        """Connect; the callbacks are nats-py's. Raises what `nats.aio.client.Client.connect` raises."""
        settings = self._floodgate
        jwt, key = settings.credentials
        self._public_nkey = key.public if key is not None else None
        context = settings.tls_context()
        await self.connect(
            servers=settings.servers,
            name=self._floodgate_name,
            inbox_prefix=inbox_prefix(self._floodgate_name),
            signature_cb=key.sign if key is not None else None,
            user_jwt_cb=(lambda: bytearray(jwt, "ascii")) if jwt is not None else None,
            tls=context,
            max_reconnect_attempts=settings.max_reconnect_attempts,
            reconnect_time_wait=settings.reconnect_wait_ms / 1_000,  # type: ignore[arg-type]  # it sleeps: floats do
            ping_interval=settings.ping_interval_ms / 1_000,  # type: ignore[arg-type]  # it sleeps: floats do
            pending_size=PENDING_BYTES,
            **callbacks,  # type: ignore[arg-type]  # nats-py's callbacks, passed on unchanged
        )

    def _connect_command(self) -> bytes:
        """nats-py's, and the last moment before credentials leave, at each connecting and reconnecting."""
        if self._floodgate.wants_tls and not self._server_info.get("tls_required"):
            raise TlsNotOffered
        return super()._connect_command()

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        """nats-py's, but that it passes on a cancellation that comes meanwhile, and OSError where the socket is closed.

        It drops the first, so that a deadline would be followed by a second, whole wait. The second is uvloop's
        RuntimeError: nats-py's flusher ends on it, and whoever publishes next writes to the closed socket by himself.
        """
        task = asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        try:
            flushing = await super()._flush_pending(force_flush)
        except RuntimeError as error:
            raise ConnectionResetError(str(error)) from error
        if task is not None and task.cancelling() > cancelled:
            raise asyncio.CancelledError
        return flushing

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """nats-py's, also where what it still has to send can't be sent.

        It writes that to the socket before it calls `closed_cb`. Where the server has closed the socket, uvloop raises
        RuntimeError for the write (asyncio: OSError, in draining), in a task that nobody waits for: a program whose key
        is taken back while it publishes would never learn that it is closed for good.
        """
        try:
            await super()._close(status, do_cbs)
        except (OSError, RuntimeError):
            self._pending = []
            self._pending_data_size = 0
            self._status = Client.DISCONNECTED  # or it would take itself for closed already
            await super()._close(status, do_cbs)


def inbox_prefix(name: str) -> str:
    """Where the replies to a client of this name come. Rights by prefix keep others from reading them."""
    return f"_INBOX_{name}"
