"""Settings of the collectors."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator

from shared.settings import Count, Milliseconds, Port, Settings
from streams.subjects import MAX_PARTITIONS

_PORT: Final = re.compile(r"^(?:\[[^\]]*\]|[^:]*)(?::(.*))?$")
"""A server of a URL, with its port as the group; IPv6 addresses stand in brackets."""


class CollectorSettings(Settings):
    """Flushing, and the ops port."""

    ops_host: str = Field("127.0.0.1", alias="OPS_HOST", description="Address of health and metrics")
    ops_port: Port = Field(9_100, alias="OPS_PORT", description="Port of health and metrics; 0 takes a free one")
    partition: int | None = Field(
        None,
        ge=0,
        lt=MAX_PARTITIONS,
        alias="PARTITION",
        description="The one of its source's PARTITIONS that this collector stores; all of them if it is not set",
        json_schema_extra={"takes": "a whole number from 0 to PARTITIONS - 1"},
    )
    flush_events: Count = Field(30_000, alias="FLUSH_EVENTS", description="Events after which a batch is flushed")
    flush_bytes: Count = Field(
        32 * 1024 * 1024, alias="FLUSH_BYTES", description="Bytes after which a batch is flushed"
    )
    flush_age_ms: Milliseconds = Field(
        200, alias="FLUSH_AGE", description="Age at which a batch is flushed, as soon as the one before it is stored"
    )
    max_dead_letters_in_a_row: Count = Field(
        1_000,
        alias="MAX_DEAD_LETTERS_IN_A_ROW",
        description="Dead letters without a stored event between them after which the collector stops: "
        "that many are a bad release, not bad data",
    )
    retry_wait_ms: Milliseconds = Field(
        250, alias="STORE_RETRY_WAIT", description="Before a flush that failed is tried again, doubled up to 10 s"
    )
    shutdown_grace_ms: Milliseconds = Field(
        20_000, alias="SHUTDOWN_GRACE", description="After the signal to stop, for what is in hand to be stored"
    )
    migrate: bool = Field(True, alias="MIGRATE_ON_START", description="Bring the tables up to date at start")


class DatabaseSettings(Settings):
    """PostgreSQL."""

    url: str = Field(
        "postgresql://floodgate@127.0.0.1:5432/floodgate",
        alias="DATABASE_URL",
        description="PostgreSQL, as postgresql://user:password@host:port/database",
        json_schema_extra={
            "secret": True,
            "takes": "postgresql://user:password@host:port/database; special characters as in any URL",
        },
    )
    pool_size: int = Field(20, ge=1, le=1_000, alias="DB_POOL_SIZE", description="Connections of a process, at most")
    connect_timeout_ms: Milliseconds = Field(
        30_000, alias="DB_CONNECT_TIMEOUT", description="For a connection to PostgreSQL"
    )
    query_timeout_ms: Milliseconds = Field(
        60_000, alias="DB_QUERY_TIMEOUT", description="For a statement in PostgreSQL"
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        """Raises ValueError where asyncpg could make no address of it; it would say so in many lines, or never."""
        parts = urlsplit(url)
        servers = unquote(parts.netloc).rpartition("@")[2].split(",")
        ports = [int(port) for server in servers if (port := _PORT.sub(r"\1", server))]
        if parts.scheme not in {"postgresql", "postgres"} or not all(0 < port <= 65_535 for port in ports):
            raise ValueError("not an address")
        return url
