"""The tracer that sends spans by OTLP over HTTP. The only file that imports OpenTelemetry.

Invariant: nothing here waits for the collector of traces: spans go into a bounded queue, which a thread of the
SDK empties; what does not fit is dropped. An exception's message never becomes part of a span, as it may hold what
was sent; its class does.

Endpoint, headers, sampler, limits and service name are the SDK's standard variables (OTEL_*, from the OpenTelemetry
specification, "Environment Variable Specification").
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from time import time_ns
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_SPAN_LINK_COUNT_LIMIT
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util import types

from shared.metrics import app_version
from shared.tracing import NO_ATTRIBUTES, Attributes, Kind, Span

MAX_CONTEXTS: Final = 1_000
"""Of one span: a flush of single events can join thousands of requests, and a reader follows a few."""

CLOSE_TIMEOUT_S: Final = 3.0
_NS_PER_S: Final = 1_000_000_000

_KINDS: Final = {kind: trace.SpanKind[kind.name] for kind in Kind}
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def otlp_tracer(service: str, exporter: SpanExporter | None = None) -> "OtlpTracer":
    """A tracer of this process. Starts a thread; connects only when there is something to send."""
    limits = SpanLimits() if OTEL_SPAN_LINK_COUNT_LIMIT in os.environ else SpanLimits(max_links=MAX_CONTEXTS)
    own = Resource({SERVICE_NAME: service, SERVICE_VERSION: app_version()})
    provider = TracerProvider(
        # The environment comes last, so that it wins.
        resource=Resource.create().merge(own).merge(OTELResourceDetector().detect()),
        span_limits=limits,
        shutdown_on_exit=False,
    )
    provider.sampler = SampledByItsLinks(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return OtlpTracer(provider)


class OtlpTracer:
    """See shared.tracing.Tracer."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("floodgate", app_version())

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: Kind = Kind.INTERNAL,
        attributes: Attributes = NO_ATTRIBUTES,
        came_from: Iterable[str] = (),
        tracestate: str | None = None,
        began_s_ago: float = 0.0,
    ) -> Iterator[Span]:
        """See Tracer."""
        parent, links = _causes(came_from, tracestate)
        span = self._tracer.start_span(
            name,
            context=parent,
            kind=_KINDS[kind],
            attributes=attributes,
            links=links,
            start_time=time_ns() - int(began_s_ago * _NS_PER_S),
        )
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            opened = _OtlpSpan(span)
            try:
                yield opened
            except BaseException as error:
                opened.fail(type(error).__name__)
                raise

    def event(self, name: str, attributes: Attributes = NO_ATTRIBUTES) -> None:
        """See Tracer."""
        trace.get_current_span().add_event(name, attributes)

    def close(self) -> None:
        """See Tracer."""
        # A thread, as the SDK has no bound for all of it, and waits 10 s for an endpoint that does not answer.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)


class _OtlpSpan:
    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """See Span."""
        own = self._span.get_span_context()
        return f"00-{own.trace_id:032x}-{own.span_id:016x}-{int(own.trace_flags):02x}" if own.is_valid else None

    def set(self, attributes: Attributes) -> None:
        """See Span."""
        self._span.set_attributes(attributes)

    def fail(self, error_type: str) -> None:
        """See Span."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(trace.StatusCode.ERROR)


class SampledByItsLinks(Sampler):
    """Takes a flush that stores a sampled request's events, so that no sampled trace ends at the stream.

    The rest is decided by the sampler that OTEL_TRACES_SAMPLER names.
    """

    def __init__(self, rest: Sampler) -> None:
        self._rest = rest

    def should_sample(  # noqa: PLR0917 - the SDK's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: types.Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """See Sampler."""
        if links:  # only sampled contexts are linked to
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return self._rest.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """See Sampler."""
        return f"SampledByItsLinks({self._rest.get_description()})"


def _causes(came_from: Iterable[str], tracestate: str | None) -> tuple[Context | None, list[trace.Link]]:
    """The parent's context (None: the span that is open) and the links.

    Contexts that are not sampled have no span to look at, so none is linked to. Where none of many is, one is
    taken as the parent, whose decision the sampler then follows.
    """
    found = [context for sent in islice(dict.fromkeys(came_from), MAX_CONTEXTS) if (context := _read(sent, tracestate))]
    if not found:
        return None, []
    sampled = [context for context in found if context.trace_flags.sampled]
    if len(found) == 1 or not sampled:
        return trace.set_span_in_context(trace.NonRecordingSpan(found[0]), Context()), []
    return Context(), [trace.Link(context) for context in sampled]


def _read(traceparent: str, tracestate: str | None) -> trace.SpanContext | None:
    carrier = {"traceparent": traceparent} | ({"tracestate": tracestate} if tracestate else {})
    context = trace.get_current_span(_PROPAGATOR.extract(carrier, Context())).get_span_context()
    return context if context.is_valid else None
