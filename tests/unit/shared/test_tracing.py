"""The tracer that is off costs nothing; the one that is on sends what the standard variables say."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import tracing_otlp
from shared.errors import SettingsError
from shared.settings import TracingSettings
from shared.tracing import NO_TRACER, Kind, tracer
from shared.tracing_otlp import MAX_CONTEXTS, OtlpTracer, otlp_tracer

ROOT = Path(__file__).resolve().parents[3]
OFF = """
import sys
import gateway.__main__, collectors.__main__, streams.__main__
from shared.settings import TracingSettings
from shared.tracing import tracer
with tracer(TracingSettings.load(), service="any").span("any"):
    print(sorted(name for name in sys.modules if name.partition(".")[0] in {"opentelemetry", "requests", "google"}))
"""


def test_nothing_of_opentelemetry_is_imported_while_tracing_is_off() -> None:
    said = subprocess.run([sys.executable, "-c", OFF], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_while_off_a_span_is_one_object_that_asks_for_nothing() -> None:
    off = tracer(TracingSettings(), service="any")
    assert off is NO_TRACER
    never = (pytest.fail("the contexts of a flush were read") for _ in range(1))
    with off.span("outer", kind=Kind.CONSUMER, came_from=never) as outer, off.span("inner") as inner:
        assert outer is inner
        assert outer.traceparent is None
    off.event("something")
    off.close()


def test_what_is_raised_in_a_span_goes_on_while_off() -> None:
    with pytest.raises(KeyError), NO_TRACER.span("any"):
        raise KeyError


def test_tracing_without_the_extra_is_a_setting_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shared.tracing_otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(SettingsError, match=r"TRACING=otlp needs OpenTelemetry.*\.\[otel\]"):
        tracer(TracingSettings(tracing="otlp"), service="any")


class Backend:
    """Takes spans as a collector of OpenTelemetry does."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[ExportTraceServiceRequest] = []

    async def take(self, request: web.Request) -> web.Response:
        import gzip  # noqa: PLC0415 - only where a sender compresses

        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.requests.append(ExportTraceServiceRequest.FromString(body))
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    made, app = Backend(), web.Application()
    app.router.add_post("/v1/traces", made.take)
    server = TestServer(app)
    await server.start_server()
    made.url = str(server.make_url(""))
    yield made
    await server.close()


@pytest.mark.parametrize(("named", "service"), [(None, "floodgate-gateway"), ("mine", "mine")])
async def test_spans_are_sent_where_the_standard_variables_say_when_it_is_closed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, named: str | None, service: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", backend.url)
    if named:
        monkeypatch.setenv("OTEL_SERVICE_NAME", named)
    made = tracer(TracingSettings(tracing="otlp"), service="floodgate-gateway")
    with pytest.raises(KeyError), made.span("outer", attributes={"floodgate.events": 3}), made.span("inner"):
        raise KeyError("what was sent")
    await asyncio.to_thread(made.close)
    (sent,) = backend.requests
    (resource,) = sent.resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"] == service
    inner, outer = resource.scope_spans[0].spans
    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.parent_span_id == outer.span_id
    assert [one.key for one in inner.attributes] == ["error.type"]
    assert "what was sent" not in str(sent)


async def test_the_sampler_is_the_standard_one(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", backend.url)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    made = tracer(TracingSettings(tracing="otlp"), service="any")
    with made.span("never seen"):
        pass
    await asyncio.to_thread(made.close)
    assert backend.requests == []


@pytest.mark.parametrize(
    "sent", ["", "nonsense", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-" + "0" * 32 + "-x-01"]
)
def test_a_context_that_can_not_be_read_is_passed_over(monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    made = tracer(TracingSettings(tracing="otlp"), service="any")
    assert isinstance(made, OtlpTracer)
    with made.span("any", came_from=(sent,)) as span:
        assert span.traceparent is not None
        assert int(span.traceparent[-2:], 16) & 1 == 0  # the bit that says sampled
        assert "a" * 32 not in span.traceparent
    made.close()


def context(number: int, flags: str) -> str:
    return f"00-{number:032x}-{number:016x}-{flags}"


@pytest.mark.parametrize(("flags", "is_sampled"), [(("01", "00"), True), (("00", "00"), False)])
def test_a_flush_is_sampled_where_one_of_its_requests_is_whatever_the_sampler(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], is_sampled: bool
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off" if is_sampled else "parentbased_always_on")
    exporter = InMemorySpanExporter()
    made = otlp_tracer("any", exporter)
    contexts = [context(number, flag) for number, flag in enumerate(flags, 1)]
    with made.span("flush", came_from=contexts), made.span("commit"):
        pass
    made.close()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == ({"flush", "commit"} if is_sampled else set())
    if is_sampled:
        assert [link.context.span_id for link in spans["flush"].links] == [1]  # of the other there is nothing to see


def test_the_links_of_a_flush_are_bounded() -> None:
    exporter = InMemorySpanExporter()
    made = otlp_tracer("any", exporter)
    with made.span("flush", came_from=(context(number, "01") for number in range(1, 5_000))):
        pass
    made.close()
    (flush,) = exporter.get_finished_spans()
    assert len(flush.links) == MAX_CONTEXTS


def test_closing_does_not_wait_for_a_backend_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_otlp, "CLOSE_TIMEOUT_S", 0.05)
    asked, answered = threading.Event(), threading.Event()

    class Hangs(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            asked.set()
            answered.wait(30)
            return super().export(spans)

    made = otlp_tracer("any", Hangs())
    with made.span("any"):
        pass
    made.close()
    assert asked.wait(10)
    assert not answered.is_set()
    answered.set()
