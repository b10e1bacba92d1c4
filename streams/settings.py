"""Settings of everything that talks to NATS."""

import re

from pydantic import Field

from shared.settings import Count, Milliseconds, Settings


class NatsSettings(Settings):
    """The connection."""

    url: str = Field("nats://127.0.0.1:4222", alias="NATS_URL", description="Server, or several separated by commas")
    max_reconnect_attempts: int = Field(
        -1,
        ge=-1,
        alias="NATS_MAX_RECONNECT_ATTEMPTS",
        description="Attempts to reconnect before the program gives up; -1: never",
    )
    reconnect_wait_ms: Milliseconds = Field(
        2_000, alias="NATS_RECONNECT_WAIT", description="Between two attempts to reconnect"
    )
    ping_interval_ms: Milliseconds = Field(
        120_000, alias="NATS_PING_INTERVAL", description="Between two pings, which find a dead connection"
    )

    @property
    def servers(self) -> list[str]:
        """The servers' URLs."""
        return [server.strip() for server in self.url.split(",") if server.strip()]

    @property
    def safe_url(self) -> str:
        """The URL without credentials, for messages."""
        return ",".join(re.sub(r"//[^@/]*@", "//", server) for server in self.servers)


class StreamSettings(Settings):
    """The streams, as they are provisioned."""

    prefix: str = Field(
        "",
        alias="STREAM_PREFIX",
        pattern=r"^[A-Z0-9_]{0,32}$",
        description="Before every stream's name and, in lower case, every subject; for systems that share a server",
    )
    replicas: int = Field(1, ge=1, le=5, alias="STREAM_REPLICAS", description="Copies of each stream in a cluster")
    max_messages: Count = Field(
        10_000_000, alias="STREAM_MAX_MESSAGES", description="Messages that a source's stream keeps"
    )
    max_bytes: Count = Field(10 * 1024**3, alias="STREAM_MAX_BYTES", description="Bytes that a source's stream keeps")
    max_age_ms: int = Field(
        7 * 86_400_000,
        ge=1_000,
        alias="STREAM_MAX_AGE",
        description="How long a source's stream keeps a message",
    )
    ack_wait_ms: Milliseconds = Field(
        30_000,
        alias="CONSUMER_ACK_WAIT",
        description="After this long unacknowledged a message is delivered again",
    )
    max_ack_pending: Count = Field(
        4_000,
        alias="CONSUMER_MAX_ACK_PENDING",
        description="Messages of one source delivered and not yet acknowledged, over all its collectors",
    )
    provision: bool = Field(
        True, alias="PROVISION_ON_START", description="Create and update streams and consumers at start"
    )


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
