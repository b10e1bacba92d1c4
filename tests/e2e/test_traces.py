"""One trace from a sender's request over the stream to the commit, by real servers and an exporter in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.tracing_otlp import OtlpTracer, SampledByItsLinks
from shared.wire import TRACEPARENT
from tests.integration.collectors.rig import Rig, rig
from tests.integration.gateway.conftest import Running, start_gateway
from tests.integration.gateway.events import array, facebook, text, with_value

TRACE, OTHER_TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
SENT = f"00-{TRACE}-{SPAN}-01"


class Way:
    """A gateway and a collector that share streams, and the spans of both."""

    def __init__(self, rig: Rig, gateway: Running, tracer: OtlpTracer, exporter: InMemorySpanExporter) -> None:
        self.rig = rig
        self.gateway = gateway
        self.tracer = tracer
        self.exporter = exporter

    async def store(self) -> None:
        """Run a collector until everything is stored; what waits in the stream goes into one flush."""
        async with self.rig.collector(tracer=self.tracer, flush_age_ms=300) as running:
            await self.rig.all_settled()
            await running.stop()

    def spans(self) -> dict[str, ReadableSpan]:
        """Those that have ended, by their names, each of which is there once."""
        ended = self.exporter.get_finished_spans()
        found = {span.name: span for span in ended}
        assert len(found) == len(ended)
        return found


@pytest.fixture
async def way(nats_url: str, database_url: str) -> AsyncIterator[Way]:
    """Both, traced; the collector runs when it is asked to."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.sampler = SampledByItsLinks(provider.sampler)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = OtlpTracer(provider)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(rig(nats_url, database_url))
        gateway = await start_gateway(stack, nats_url, prefix=made.prefix, keep=True, tracer=tracer)
        yield Way(made, gateway, tracer, exporter)
    tracer.close()


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_one_trace_leads_from_the_senders_request_to_the_commit(way: Way) -> None:
    answer = await way.gateway.post(
        array(*(facebook() for _ in range(250))), traceparent=SENT, tracestate="vendor=1", x_correlation_id="traced-1"
    )
    assert answer.status == 200
    await way.store()
    spans = way.spans()
    assert set(spans) == {
        "POST /webhook/events/bulk", "read", "split", "publish", "process facebook", "fetch", "commit", "settle",
    }  # fmt: skip
    assert {trace_of(span) for span in spans.values()} == {TRACE}
    request, publish, process = (spans[name] for name in ("POST /webhook/events/bulk", "publish", "process facebook"))
    assert parent_of(request) == SPAN
    assert request.context is not None
    assert request.context.trace_state.to_header() == "vendor=1"
    assert {parent_of(spans[name]) for name in ("read", "split", "publish")} == {id_of(request)}
    assert parent_of(process) == id_of(publish)
    assert {parent_of(spans[name]) for name in ("fetch", "commit", "settle")} == {id_of(process)}
    carried = {message.headers[TRACEPARENT] for message in await way.gateway.stored("facebook")}
    assert carried == {f"00-{TRACE}-{id_of(publish)}-01"}
    assert (request.kind.name, publish.kind.name, process.kind.name) == ("SERVER", "PRODUCER", "CONSUMER")
    assert attributes_of(request) == {
        "http.request.method": "POST",
        "http.route": "/webhook/events/bulk",
        "url.path": "/webhook/events/bulk",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "floodgate.correlation_id": "traced-1",
    }
    assert attributes_of(publish)["messaging.batch.message_count"] == 3
    assert attributes_of(process)["messaging.destination.name"] == way.rig.stream
    assert attributes_of(process)["floodgate.events"] == 250
    assert attributes_of(spans["commit"])["db.system.name"] == "postgresql"
    assert process.start_time is not None
    assert spans["fetch"].start_time is not None
    assert spans["settle"].end_time is not None
    assert process.end_time is not None
    assert process.start_time <= spans["commit"].start_time  # type: ignore[operator]  # an ended span has its times
    assert process.end_time >= spans["settle"].end_time


async def test_a_flush_that_joins_requests_is_linked_to_each_of_them(way: Way) -> None:
    """A bulk, two single events that share a message, and one that comes without a trace."""
    await way.gateway.post(array(facebook(), facebook()), traceparent=SENT)
    await asyncio.gather(
        way.gateway.post(text(facebook()), path="/webhook/events", traceparent=f"00-{OTHER_TRACE}-{SPAN}-01"),
        way.gateway.post(text(facebook()), path="/webhook/events"),
    )
    await way.store()
    ended = way.exporter.get_finished_spans()
    published = {id_of(span): trace_of(span) for span in ended if span.name == "publish"}
    assert len(published) == 3
    (process,) = [span for span in ended if span.name == "process facebook"]
    assert process.parent is None
    assert {f"{link.context.span_id:016x}": f"{link.context.trace_id:032x}" for link in process.links} == published
    assert {TRACE, OTHER_TRACE} < set(published.values())
    (commit,) = [span for span in ended if span.name == "commit"]
    assert parent_of(commit) == id_of(process)


async def test_what_the_sender_does_not_sample_leaves_no_span_on_the_whole_way(way: Way) -> None:
    for trace in (TRACE, OTHER_TRACE):  # joined by one flush
        answer = await way.gateway.post(array(facebook(), facebook()), traceparent=f"00-{trace}-{SPAN}-00")
        assert answer.status == 200
    await way.store()
    assert way.spans() == {}
    carried = {message.headers[TRACEPARENT][-3:] for message in await way.gateway.stored("facebook")}
    assert carried == {"-00"}


async def test_dead_letters_are_events_of_the_flush_by_their_reason(way: Way) -> None:
    await way.rig.send([facebook(), b'{"not": "an event"}', b'{"nor": "this"}'])
    await way.store()
    process = way.spans()["process facebook"]
    (event,) = process.events
    assert event.name == "floodgate.dead_lettered"
    assert dict(event.attributes or {}) == {"floodgate.dead_letter.reason": "undecodable", "floodgate.events": 2}


async def test_a_request_has_as_many_spans_for_one_event_as_for_thousands(way: Way) -> None:
    await way.gateway.post(text(facebook()), path="/webhook/events")
    few = len(way.exporter.get_finished_spans())
    way.exporter.clear()
    await way.gateway.post(array(*(facebook() for _ in range(3_000))))
    assert len(way.exporter.get_finished_spans()) == few == 4


async def test_a_refused_request_is_a_span_without_a_failure_and_without_what_was_sent(way: Way) -> None:
    bodies = [
        b"[{secret-marker",
        array(with_value(facebook(), "data.user.age", "secret-marker")),
    ]
    for body in bodies:
        await way.gateway.post(body, secret_marker="secret-marker")
    await way.gateway.get("/webhook/events/bulk/secret-marker")
    ended = way.exporter.get_finished_spans()
    requests = [span for span in ended if span.kind.name == "SERVER"]
    assert [attributes_of(span)["http.response.status_code"] for span in requests] == [400, 422]
    assert {span.status.status_code.name for span in requests} == {"UNSET"}
    (split,) = [span for span in ended if span.name == "split" and not span.status.is_unset]
    assert attributes_of(split)["error.type"] == "Refused"
    assert "secret-marker" not in "".join(span.to_json() for span in ended)
