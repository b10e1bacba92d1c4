"""Settings of everything that talks to NATS."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from shared.settings import MILLISECONDS, Count, Milliseconds, Settings
from streams.subjects import MAX_PARTITIONS, Names


class NatsSettings(Settings):
    """The connection."""

    url: str = Field(
        "nats://127.0.0.1:4222",
        alias="NATS_URL",
        description="The server, or several of a cluster, with the credentials where it wants any",
        json_schema_extra={
            "secret": True,
            "takes": "nats://host:port or tls://host:port, with user:password@ before the host where needed; "
            "several are separated by commas",
        },
    )
    max_reconnect_attempts: int = Field(
        -1,
        ge=-1,
        alias="NATS_MAX_RECONNECT_ATTEMPTS",
        description="Attempts to connect or reconnect before the program gives up; -1: never",
        json_schema_extra={"takes": "-1, or a whole number of 1 or more"},
    )
    reconnect_wait_ms: Milliseconds = Field(
        2_000, alias="NATS_RECONNECT_WAIT", description="Between two attempts to reconnect"
    )
    ping_interval_ms: Milliseconds = Field(
        120_000, alias="NATS_PING_INTERVAL", description="Between two pings, which find a dead connection"
    )

    @field_validator("url")
    @classmethod
    def _every_server_has_an_address(cls, url: str) -> str:
        servers = _split(url)
        if not servers or not all(map(_is_address, servers)):
            raise ValueError("not a list of servers")
        return url

    @field_validator("max_reconnect_attempts")
    @classmethod
    def _never_or_some(cls, attempts: int) -> int:
        if attempts == 0:  # nats-py would take it for -1 on one path and give up at once on another
            raise ValueError("neither never nor some")
        return attempts

    @property
    def servers(self) -> list[str]:
        """The servers' URLs."""
        return _split(self.url)

    @property
    def safe_url(self) -> str:
        """The URL without credentials, for messages."""
        return ",".join(re.sub(r"^(\w+://)?.*@", r"\1", server) for server in self.servers)


class StreamSettings(Settings):
    """The streams, as they are provisioned."""

    prefix: str = Field(
        "",
        alias="STREAM_PREFIX",
        pattern=r"^[A-Z0-9_]{0,32}$",
        description="Before every stream's name and, in lower case, every subject; for systems that share a server",
        json_schema_extra={"takes": "up to 32 of A-Z, 0-9 and _"},
    )
    partitions: int = Field(
        1,
        ge=1,
        le=MAX_PARTITIONS,
        alias="PARTITIONS",
        description="Streams that each source's events are spread over, by event id; see docs/scaling.md before "
        "changing it",
    )
    replicas: int = Field(1, ge=1, le=5, alias="STREAM_REPLICAS", description="Copies of each stream in a cluster")
    max_messages: Count = Field(
        10_000_000, alias="STREAM_MAX_MESSAGES", description="Messages that each stream of a source keeps"
    )
    max_bytes: Count = Field(
        10 * 1024**3, alias="STREAM_MAX_BYTES", description="Bytes that each stream of a source keeps"
    )
    max_age_ms: Annotated[int, MILLISECONDS] = Field(
        7 * 86_400_000,
        ge=1_000,
        alias="STREAM_MAX_AGE",
        description="How long a stream of a source keeps a message",
    )
    ack_wait_ms: Milliseconds = Field(
        30_000,
        alias="CONSUMER_ACK_WAIT",
        description="After this long unacknowledged a message is delivered again",
    )
    max_ack_pending: Count = Field(
        4_000,
        alias="CONSUMER_MAX_ACK_PENDING",
        description="Messages of one stream delivered and not yet acknowledged, over all its collectors",
    )
    provision: bool = Field(
        True, alias="PROVISION_ON_START", description="Create and update streams and consumers at start"
    )

    @property
    def names(self) -> Names:
        """The names of the streams."""
        return Names(self.prefix, self.partitions)


class PublishSettings(Settings):
    """How messages are published."""

    batch_events: int = Field(100, ge=1, le=10_000, alias="NATS_BATCH_SIZE", description="Events in a message, at most")
    timeout_ms: Milliseconds = Field(
        10_000,
        alias="PUBLISH_TIMEOUT",
        description="For an attempt to publish a message, until it is acknowledged",
    )
    attempts: int = Field(3, ge=1, le=10, alias="PUBLISH_ATTEMPTS", description="Attempts to publish a message")
    retry_wait_ms: Milliseconds = Field(
        100, alias="PUBLISH_RETRY_WAIT", description="Before the second attempt, doubled for each further one"
    )
    max_in_flight: Count = Field(
        256,
        alias="PUBLISH_MAX_IN_FLIGHT",
        description="Messages of a process published and not yet acknowledged",
    )


def _split(url: str) -> list[str]:
    return [server.strip() for server in url.split(",") if server.strip()]


def _is_address(server: str) -> bool:
    """Whether nats-py can make a host and a port of it: `host`, `host:port` or one with nats:// or tls://."""
    scheme, separator, _ = server.partition("://")
    if separator and scheme not in {"nats", "tls"}:
        return False
    try:
        parts = urlsplit(server if separator else f"nats://{server}")
        return (
            bool(parts.hostname) and parts.port != 0 and parts.path in {"", "/"} and not any(map(str.isspace, server))
        )
    except ValueError:
        return False
