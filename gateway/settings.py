"""Settings of the gateway."""

import ipaddress
from typing import Literal

from pydantic import Field, model_validator

from shared.errors import SettingsError
from shared.settings import Count, Milliseconds, Port, Settings


class GatewaySettings(Settings):
    """HTTP, limits, and the read side of receipts."""

    host: str = Field("127.0.0.1", alias="HOST", description="Address to listen on")
    port: Port = Field(3_000, alias="PORT", description="Port to listen on; 0 takes a free one")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        alias="GATEWAY_WORKERS",
        description="Gateway processes that share the port; limits in flight are for each",
    )
    batch_events: int = Field(
        1_000,
        ge=1,
        le=50_000,
        alias="BATCH_SIZE",
        description="Events validated between two turns of the event loop, at most",
    )
    max_bulk_events: Count = Field(50_000, alias="MAX_BULK_EVENTS", description="Events in a request, at most")
    max_body_bytes: Count = Field(
        64 * 1024 * 1024, alias="MAX_BODY_BYTES", description="Bytes of a request's body, decompressed, at most"
    )
    max_reported_errors: int = Field(
        1_000, ge=0, alias="MAX_REPORTED_ERRORS", description="Errors listed in an answer; all are counted"
    )
    max_requests_in_flight: Count = Field(
        1_000, alias="MAX_REQUESTS_IN_FLIGHT", description="Webhook requests worked on at once; more are answered 503"
    )
    max_bytes_in_flight: Count = Field(
        256 * 1024 * 1024, alias="MAX_BYTES_IN_FLIGHT", description="Body bytes held at once; more are answered 503"
    )
    body_timeout_ms: Milliseconds = Field(
        60_000, alias="BODY_TIMEOUT", description="For a sender to send its whole body"
    )
    request_timeout_ms: Milliseconds = Field(
        120_000,
        alias="REQUEST_TIMEOUT",
        description="From a request's headers on; events not on their way to the broker by then are answered as "
        "not durable",
    )
    idle_timeout_ms: Milliseconds = Field(
        75_000,
        alias="IDLE_TIMEOUT",
        description="For a connection without a request, or whose headers do not end; longer than a proxy before it",
    )
    max_connections: Count = Field(
        4_096, alias="MAX_CONNECTIONS", description="Connections at once; more are answered 503 and closed"
    )
    max_headers: Count = Field(100, alias="MAX_HEADERS", description="Headers in a request, at most")
    max_header_bytes: int = Field(
        8_190,
        ge=1_024,
        le=65_536,
        alias="MAX_HEADER_BYTES",
        description="Bytes of a header, and of the request line, at most",
    )
    max_nesting: int = Field(
        150, ge=10, le=190, alias="MAX_NESTING", description="Levels of arrays and objects in an event, at most"
    )
    max_string_chars: Count = Field(
        1_048_576, alias="MAX_STRING_CHARS", description="Characters of a string in an event, at most"
    )
    shutdown_grace_ms: Milliseconds = Field(
        30_000, alias="SHUTDOWN_GRACE", description="After the signal to stop, for requests in flight to finish"
    )
    backlog_close_at: float = Field(
        0.9, gt=0, le=1, alias="BACKLOG_CLOSE_AT",
        description="Share of a stream's limits, taken by unread messages, at which new events are answered 503",
    )  # fmt: skip
    backlog_open_at: float = Field(
        0.8, gt=0, le=1, alias="BACKLOG_OPEN_AT", description="Share below which events are taken again"
    )
    backlog_interval_ms: Milliseconds = Field(
        2_000, alias="BACKLOG_INTERVAL", description="Between two readings of the backlog"
    )
    console: bool = Field(True, alias="CONSOLE", description="Serve the console at `/`")
    console_hosts: str = Field(
        "",
        alias="CONSOLE_HOSTS",
        description="Names by which the console is reached where HOST is a loopback address, beside loopback names",
        json_schema_extra={"takes": "host names separated by commas, such as that of a proxy before the gateway"},
    )
    database_url: str | None = Field(
        None,
        alias="DATABASE_URL",
        description="PostgreSQL, for receipts only; without it receipts are answered 503 and all else works",
        json_schema_extra={"secret": True},
    )
    database_connect_timeout_ms: Milliseconds = Field(
        30_000, alias="DB_CONNECT_TIMEOUT", description="For a connection to PostgreSQL"
    )
    database_query_timeout_ms: Milliseconds = Field(
        60_000, alias="DB_QUERY_TIMEOUT", description="For a statement in PostgreSQL"
    )

    @property
    def console_names(self) -> list[str]:
        """The names of CONSOLE_HOSTS."""
        return [name.strip() for name in self.console_hosts.split(",") if name.strip()]

    @model_validator(mode="after")
    def _fit_each_other(self) -> "GatewaySettings":
        if self.backlog_open_at > self.backlog_close_at:
            raise ValueError(
                f"BACKLOG_OPEN_AT={self.backlog_open_at} must not be above BACKLOG_CLOSE_AT={self.backlog_close_at}"
            )
        if self.max_bytes_in_flight < self.max_body_bytes:
            raise ValueError(
                f"MAX_BYTES_IN_FLIGHT={self.max_bytes_in_flight} must hold at least one body of "
                f"MAX_BODY_BYTES={self.max_body_bytes}"
            )
        if self.workers > 1 and self.port == 0:
            raise ValueError(f"GATEWAY_WORKERS={self.workers} need a PORT to share, and PORT=0 takes any free one")
        return self


class AccessSettings(Settings):
    """Who may post and read, and where reading takes place."""

    auth: Literal["open", "senders"] | None = Field(
        None,
        alias="AUTH",
        description="`senders`: only those in SENDERS; `open`: anyone who can reach it. Unset, it is `senders` where "
        "SENDERS is set, and `open` on a loopback address; on any other address the gateway then does not start",
    )
    senders: str | None = Field(
        None,
        alias="SENDERS",
        description="The senders, as TOML (docs/security.md)",
        json_schema_extra={"secret": True},
    )
    signature_tolerance_ms: Milliseconds = Field(
        300_000, alias="SIGNATURE_TOLERANCE", description="Age of a signature's timestamp, at most, in both directions"
    )
    rate_window_ms: Milliseconds = Field(
        10_000,
        ge=1_000,
        alias="RATE_WINDOW",
        description="Over which a sender's rates are counted: so much more than its rate may come at once",
    )
    internal_host: str = Field("127.0.0.1", alias="INTERNAL_HOST", description="Address of the internal port")
    internal_port: Port | None = Field(
        None,
        alias="INTERNAL_PORT",
        description="Port for /metrics, receipts, the API's description and the console, which the public port then "
        "does not have; unset, they are all there",
    )

    @model_validator(mode="after")
    def _fit_each_other(self) -> "AccessSettings":
        if self.auth == "open" and self.senders is not None:
            raise ValueError("AUTH=open lets anyone in, and SENDERS says who may: unset one of them")
        if self.auth == "senders" and self.senders is None:
            raise ValueError(
                "AUTH=senders needs them: set SENDERS or SENDERS_FILE (`python -m gateway keys new` makes a sender)"
            )
        return self

    def refuse_unsafe(self, host: str, *, workers: int = 1) -> None:
        """Raises SettingsError where anyone on another machine could post, and nobody said that this is meant; and
        where the workers would have no internal port in common.
        """
        if workers > 1 and self.internal_port == 0:
            raise SettingsError(
                f"GATEWAY_WORKERS={workers} need an INTERNAL_PORT to share, and INTERNAL_PORT=0 takes any free one"
            )
        if self.senders is None and self.auth is None and not is_loopback(host):
            raise SettingsError(
                f"HOST={host} can be reached from other machines, and there are no senders: set SENDERS or "
                "SENDERS_FILE (`python -m gateway keys new` makes a sender), or AUTH=open if anyone who can reach it "
                "may post"
            )


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone; a name other than localhost is not known to be."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
