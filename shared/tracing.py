"""Traces: what the product asks of a tracer, and the tracer that is none.

Invariant: while tracing is off nothing of OpenTelemetry is imported, and a span is two calls that do nothing.
The number of spans follows requests and flushes, never events or messages; no attribute holds anything of an
event, so none is personal. Names of attributes are OpenTelemetry's semantic conventions (http, messaging, db);
what these have no name for begins with `floodgate.`.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Final, Protocol, Self

from shared.errors import SettingsError
from shared.settings import TracingSettings

Attributes = Mapping[str, str | int | float | bool]

NO_ATTRIBUTES: Final[Attributes] = {}


class Kind(StrEnum):
    """What a span is to others, as OpenTelemetry has it."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(Protocol):
    """A part of the work, with its begin and end. It ends with the block that it is opened for."""

    @property
    def traceparent(self) -> str | None:
        """Its W3C trace context, for a message's headers; None where there is no trace."""

    def set(self, attributes: Attributes) -> None:
        """Say more about it."""

    def fail(self, error_type: str) -> None:
        """It failed; `error_type` is a word of a closed list or a class's name, never a message."""


class Tracer(Protocol):
    """Opens spans. The one that is open becomes the parent of those opened in its block, and in its tasks."""

    def span(
        self,
        name: str,
        *,
        kind: Kind = Kind.INTERNAL,
        attributes: Attributes = NO_ATTRIBUTES,
        came_from: Iterable[str] = (),
        tracestate: str | None = None,
        began_s_ago: float = 0.0,
    ) -> AbstractContextManager[Span]:
        """A span for the length of a block. What is raised in the block fails it, and goes on.

        `came_from`: the W3C trace contexts of what the work was caused by. Of one the span is a child (with its
        `tracestate`), to many it is linked; what can't be read is passed over.
        """

    def event(self, name: str, attributes: Attributes = NO_ATTRIBUTES) -> None:
        """Something happened in the span that is open."""

    def close(self) -> None:
        """Send what is waiting to be sent. Blocks, a few seconds at most; never raises for what is away."""


class _NoSpan(AbstractContextManager["_NoSpan"]):
    __slots__ = ()
    traceparent: Final = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, attributes: Attributes) -> None:
        """See Span."""

    def fail(self, error_type: str) -> None:
        """See Span."""


_NO_SPAN: Final = _NoSpan()


class NoTracer:
    """The tracer while tracing is off."""

    __slots__ = ()

    def span(
        self,
        name: str,  # noqa: ARG002 - this and the rest: the protocol's
        *,
        kind: Kind = Kind.INTERNAL,  # noqa: ARG002
        attributes: Attributes = NO_ATTRIBUTES,  # noqa: ARG002
        came_from: Iterable[str] = (),  # noqa: ARG002
        tracestate: str | None = None,  # noqa: ARG002
        began_s_ago: float = 0.0,  # noqa: ARG002
    ) -> AbstractContextManager[Span]:
        """See Tracer."""
        return _NO_SPAN

    def event(self, name: str, attributes: Attributes = NO_ATTRIBUTES) -> None:
        """See Tracer."""

    def close(self) -> None:
        """See Tracer."""


NO_TRACER: Final = NoTracer()


def tracer(settings: TracingSettings, *, service: str) -> Tracer:
    """The tracer that the settings ask for; `service` is its service.name, unless OTEL_SERVICE_NAME says another.

    Raises SettingsError where tracing is on and OpenTelemetry is not installed.
    """
    if settings.tracing == "off":
        return NO_TRACER
    try:
        from shared.tracing_otlp import otlp_tracer  # noqa: PLC0415 - the point of it: no import while it is off
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"TRACING={settings.tracing} needs OpenTelemetry, of which {error.name} is not installed: "
            'install the extra `otel` (pip install ".[otel]"), or set TRACING=off'
        ) from error
    return otlp_tracer(service)
