"""The connection to NATS: opening, watching, draining.

Invariant: `closed` is set once the client has given up for good (nats-py does so on an authorization
error or a protocol error even where it is told to reconnect for ever); nothing works after that, so the
program must end and be started anew.
"""

import asyncio
import ssl
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.errors import AuthorizationError, NoServersError
from nats.js.client import JetStreamContext

from shared.errors import Fatal, Retryable
from shared.lifecycle import end
from shared.logs import Logger
from shared.metrics import RoleMetrics
from streams.client import NatsClient, TlsNotOffered
from streams.settings import NatsSettings

API_TIMEOUT_S: Final = 5.0
"""For requests to the JetStream API: stream and consumer information, message reads."""

CLOSE_STEP_S: Final = 2.0

_REFUSALS: Final = ("authorization violation", "authentication expired", "authentication revoked")
"""How the server says that it does not know us, or no longer; nats-py has it in lower case, or as it came."""

_NO_RIGHT: Final = "permissions violation"


class Connection:
    """One connection to NATS, which reconnects by itself."""

    def __init__(self, settings: NatsSettings, *, name: str, log: Logger, metrics: RoleMetrics) -> None:
        self._settings = settings
        self._log = log
        self._metrics = metrics
        self._client = NatsClient(settings, name=name)
        self._jetstream = self._client.jetstream(timeout=API_TIMEOUT_S, prefix=settings.jetstream_prefix)
        self._refused: str | None = None
        self._was_opened = False
        self._closing = False
        self.closed = asyncio.Event()
        self.detail = "not connected yet"

    @property
    def client(self) -> Client:
        """The nats-py client; for use within streams/ only."""
        return self._client

    def api(self, request: str) -> str:
        """The subject of a request of the JetStream API, under the prefix that is set."""
        return f"{self._settings.jetstream_prefix}.{request}"

    @property
    def jetstream(self) -> JetStreamContext:
        """The JetStream context; for use within streams/ only."""
        return self._jetstream

    @property
    def is_connected(self) -> bool:
        """Whether a publish would leave at once."""
        return self._client.is_connected

    @property
    def unsent_bytes(self) -> int:
        """What was published and the server has not read yet, beside what the kernel holds."""
        return self._client.pending_data_size

    @property
    def max_payload_bytes(self) -> int:
        """What the server takes for a message, headers and body together."""
        return self._client.max_payload

    async def open(self) -> None:
        """Connect; waits for a server that is not up yet, trying as often as the settings say.

        Raises Fatal where the server refuses the credentials, TLS fails for good, or the attempts are used up.
        """
        self._was_opened = True
        connecting = asyncio.create_task(
            self._client.open(
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                closed_cb=self._on_closed,
            )
        )
        refused = asyncio.create_task(self.closed.wait())
        try:
            await asyncio.wait({connecting, refused}, return_when=asyncio.FIRST_COMPLETED)
            if self._refused is not None:
                raise Fatal(self._refused)
            await connecting
        except NoServersError as error:
            raise Fatal(f"NATS at {self._settings.safe_url} can't be reached: {error}") from error
        finally:
            await end(connecting, refused)
        self._set_connected()
        self._log.info("nats_connected", server=self._server)

    async def watch(self) -> None:
        """Return never, or raise Fatal once the connection is closed for good."""
        await self.closed.wait()
        raise Fatal(self._refused or f"the connection to NATS is closed for good: {self.detail}")

    async def close(self) -> None:
        """Send what is buffered, then disconnect. Never raises; waits 2 s at most for each."""
        self._closing = True
        if not self._was_opened:
            return  # nats-py can't close a client that never tried to connect
        for step in (self._flush, self._client.close):  # what can't be flushed is no reason to leave it open
            try:
                async with asyncio.timeout(CLOSE_STEP_S):
                    await step()
            except (TimeoutError, nats.errors.Error, OSError, RuntimeError) as error:  # the last is uvloop's OSError
                self._log.warning("nats_close_failed", error=repr(error))

    def require(self) -> None:
        """Raise Retryable unless connected."""
        if not self.is_connected:
            raise Retryable(f"not connected to NATS: {self.detail}")

    @property
    def _server(self) -> str:
        url = self._client.connected_url
        return url.netloc.rsplit("@", 1)[-1] if url is not None else ""

    async def _flush(self) -> None:
        if self._client.is_connected:
            await self._client.flush()

    def _set_connected(self) -> None:
        self.detail = f"connected to {self._server}"
        self._metrics.nats_connected.set(1)

    async def _on_error(self, error: Exception) -> None:
        self.detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if _NO_RIGHT in self.detail.lower():  # the subject is in it; what was asked is answered by a timeout
            self._log.error("nats_right_missing", error=self.detail)
            return
        self._log.warning("nats_error", error=self.detail)
        self._heed(error)

    def _heed(self, error: Exception) -> None:
        """End it all where no attempt can succeed before a person has acted."""
        where = f"NATS at {self._settings.safe_url}"
        if isinstance(error, AuthorizationError) or any(words in str(error).lower() for words in _REFUSALS):
            self._refused = f"{where} refuses these credentials"
        elif isinstance(error, TlsNotOffered):
            self._refused = f"{where} offers no TLS, and NATS_URL or NATS_CA_FILE asks for it"
        elif isinstance(error, ssl.SSLCertVerificationError):
            self._refused = f"{where} can't be trusted: {error.verify_message}; NATS_CA_FILE names who is"
        elif isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            self._refused = f"{where} ends TLS: {error.reason}; NATS_CERT_FILE is what it may want"
        else:
            return
        self.closed.set()

    async def _on_disconnected(self) -> None:
        self._metrics.nats_connected.set(0)
        self.detail = "disconnected"
        if not self._closing:
            self._log.warning("nats_disconnected")

    async def _on_reconnected(self) -> None:
        self._metrics.nats_reconnects.inc()
        self._set_connected()
        self._log.info("nats_reconnected", server=self._server)

    async def _on_closed(self) -> None:
        self._metrics.nats_connected.set(0)
        if (error := self._client.last_error) is not None and not self._closing:
            self._heed(error)  # nats-py tells an error of the server that ends the connection nowhere else
        self.closed.set()
