"""Settings of the gateway."""

from pydantic import Field, model_validator

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
