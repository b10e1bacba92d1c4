"""Settings of everything that talks to NATS."""

import re
import ssl
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from shared.settings import MILLISECONDS, Count, Milliseconds, Settings
from streams.nkeys import UserKey, read_creds
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
    nkey_seed: str | None = Field(
        None,
        alias="NATS_NKEY_SEED",
        description="The program's key, as `python -m streams keys` makes it; the server knows its public half",
        json_schema_extra={"secret": True, "takes": "a user's seed: SU and 56 letters and digits"},
    )
    creds: str | None = Field(
        None,
        alias="NATS_CREDS",
        description="The program's JWT and key, for servers with operators and accounts",
        json_schema_extra={"secret": True, "takes": "the text of a .creds file"},
    )
    jetstream_prefix: str = Field(
        "$JS.API",
        alias="NATS_JETSTREAM_PREFIX",
        pattern=r"^[$\w-]+(\.[$\w-]+)*$",
        description="Before the subjects of the JetStream API; JS.API under the shipped rights, but for the admin",
        json_schema_extra={"takes": "tokens of a subject, with dots between them"},
    )
    ca_file: str | None = Field(
        None,
        alias="NATS_CA_FILE",
        description="Who signed the server's certificate; without it, those that the system trusts",
        json_schema_extra={"takes": "a PEM file; turns TLS on, as tls:// does"},
    )
    cert_file: str | None = Field(
        None,
        alias="NATS_CERT_FILE",
        description="The program's own certificate, where the server asks for one",
        json_schema_extra={"takes": "a PEM file; together with NATS_KEY_FILE"},
    )
    key_file: str | None = Field(
        None,
        alias="NATS_KEY_FILE",
        description="The private key of that certificate",
        json_schema_extra={"takes": "a PEM file, not encrypted; together with NATS_CERT_FILE"},
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

    @field_validator("nkey_seed")
    @classmethod
    def _is_a_seed(cls, seed: str | None) -> str | None:
        return UserKey(seed.strip()).seed if seed is not None else None

    @field_validator("creds")
    @classmethod
    def _is_a_creds_file(cls, creds: str | None) -> str | None:
        if creds is not None:
            read_creds(creds)
        return creds

    @field_validator("max_reconnect_attempts")
    @classmethod
    def _never_or_some(cls, attempts: int) -> int:
        if attempts == 0:  # nats-py would take it for -1 on one path and give up at once on another
            raise ValueError("neither never nor some")
        return attempts

    @model_validator(mode="after")
    def _fit_each_other(self) -> "NatsSettings":
        if self.nkey_seed is not None and self.creds is not None:
            raise ValueError("NATS_NKEY_SEED and NATS_CREDS are both set: set the one that the server knows")
        if (self.nkey_seed or self.creds) and any("@" in server for server in self.servers):
            used = "NATS_NKEY_SEED" if self.nkey_seed else "NATS_CREDS"
            raise ValueError(f"NATS_URL has a user or token in it and {used} is set: set one of them")
        for one, other, value in (
            ("NATS_CERT_FILE", "NATS_KEY_FILE", self.key_file),
            ("NATS_KEY_FILE", "NATS_CERT_FILE", self.cert_file),
        ):
            if (self.cert_file or self.key_file) and value is None:
                raise ValueError(f"{one} is set and {other} is not: a certificate needs its key")
        self.tls_context()
        return self

    @property
    def credentials(self) -> tuple[str | None, UserKey | None]:
        """The JWT and the key to sign with; None for what there is not."""
        if self.creds is not None:
            return read_creds(self.creds)
        return None, UserKey(self.nkey_seed) if self.nkey_seed is not None else None

    @property
    def wants_tls(self) -> bool:
        """Whether nothing may go over the wire in plain text."""
        return bool(self.ca_file or self.cert_file) or any(server.startswith("tls://") for server in self.servers)

    def tls_context(self) -> ssl.SSLContext | None:
        """What checks the server and shows our certificate; None without TLS. Reads the files.

        Raises ValueError, which names variable and file, where one can't be used.
        """
        if not self.wants_tls:
            return None
        try:
            # With a file these signers alone, without one those that the system trusts.
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise ValueError(f"NATS_CA_FILE={self.ca_file!r}: it can't be used: {_reason(error)}") from None
        if self.cert_file is not None:
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"NATS_CERT_FILE={self.cert_file!r} and NATS_KEY_FILE={self.key_file!r}: they can't be used: "
                    f"{_reason(error)}"
                ) from None
        return context

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
        6_000,
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


def _no_password() -> str:
    """Instead of asking on the terminal."""
    raise ValueError("the key is encrypted")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


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
