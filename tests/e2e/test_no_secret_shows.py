"""No key, signing secret or password shows: not in a log line, a metric, a trace, an answer or a settings error.

A marker stands in each of them, right and wrong ones, in every place that a sender or an operator may put one.
"""

import asyncio
import hashlib
import hmac
import io
import os
import sys
import uuid
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.senders import key_hash, load
from shared.events import SOURCES, EventValidator, Rejection
from shared.logs import Logger
from shared.tracing_otlp import OtlpTracer
from tests.e2e.test_nothing_personal import PERSONAL, logged
from tests.integration.gateway.conftest import start_gateway
from tests.integration.gateway.events import array, facebook, text, tiktok, with_value
from tests.servers import free_port

__all__ = ["logged"]

ROOT = Path(__file__).resolve().parents[2]
MARKER = "Sec-Ret-91c4"
KEY, APP_SECRET, TOKEN = f"fgk_{MARKER}", f"{MARKER}-an-app-secret", f"{MARKER}-token"
SENDERS = f"""
[senders.acme]
key_hashes = ["{key_hash(KEY)}"]
[senders.meta]
signature = "meta"
secrets = [{{ variable = "APP_SECRET" }}]
verify_token = {{ variable = "META_TOKEN" }}
"""
BULK = "/webhook/events/bulk"


async def test_no_credential_of_a_sender_shows(
    nats_url: str, logged: tuple[Logger, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, stream = logged
    monkeypatch.setenv("APP_SECRET", APP_SECRET)
    monkeypatch.setenv("META_TOKEN", TOKEN)
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = OtlpTracer(provider)
    body = array(facebook())
    signature = "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    handshake = f"hub.mode=subscribe&hub.challenge=1&hub.verify_token={TOKEN}"
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(stack, nats_url, log=log, tracer=tracer, senders=SENDERS, internal_port=0)
        answers = [
            await gateway.post(body, x_api_key=KEY),
            await gateway.post(body, x_api_key=f"{KEY}-wrong"),
            await gateway.post(body, Authorization=f"Bearer {KEY}"),
            await gateway.post(body, Authorization=f"Basic {KEY}"),
            await gateway.post(body, path=f"{BULK}?x-api-key={KEY}&key={KEY}"),
            await gateway.post(body, path=f"{BULK}?sender={KEY}"),
            await gateway.post(body, path=f"{BULK}?sender=meta", X_Hub_Signature_256=signature),
            await gateway.post(body + b" ", path=f"{BULK}?sender=meta", X_Hub_Signature_256=signature),
            await gateway.post(body, path=f"{BULK}?sender=meta", X_Hub_Signature_256=APP_SECRET),
            await gateway.get(f"{BULK}?{handshake}"),
            await gateway.get(f"{BULK}?{handshake}-wrong"),
            await gateway.get(f"/{KEY}"),
        ]
        assert {answer.status for answer in answers} == {200, 401, 403, 404}
        gateway.gateway.url = gateway.gateway.internal_url
        metrics = (await gateway.get("/metrics")).body.decode()
    tracer.close()
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    told = "".join(f"{answer.headers}{answer.body!r}" for answer in answers)
    senders = repr(load(SENDERS, SOURCES, {"APP_SECRET": APP_SECRET, "META_TOKEN": TOKEN}))
    assert "request_refused" in stream.getvalue()
    assert 'sender="acme"' in metrics
    assert "webhook" in spans
    for where, said in (
        ("logs", stream.getvalue()), ("metrics", metrics), ("traces", spans), ("answers", told), ("repr", senders),
    ):  # fmt: skip
        for secret in (MARKER, MARKER.lower(), signature.removeprefix("sha256=")):
            assert secret not in said, where


@pytest.mark.parametrize(
    ("program", "waits_for"),
    [(("gateway",), "nats_error"), (("collectors", "--source", "facebook"), "database_unreachable")],
)
async def test_no_password_of_a_server_shows_while_it_can_not_be_reached(
    nats_url: str, program: tuple[str, ...], waits_for: str
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    environment |= {
        "DATABASE_URL": f"postgresql://user:{MARKER}@{nowhere}/db", "PORT": "0", "OPS_PORT": "0", "LOG_LEVEL": "debug",
        "NATS_URL": f"nats://user:{MARKER}@{nowhere}" if program == ("gateway",) else nats_url,
        "STREAM_PREFIX": f"T{uuid.uuid4().hex[:12].upper()}_", "STREAM_MAX_BYTES": "1000000",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *program, cwd=ROOT, env=environment, stdout=DEVNULL, stderr=PIPE
    )
    assert process.stderr is not None
    said = ""
    try:
        async with asyncio.timeout(20):
            while waits_for not in said:
                line = (await process.stderr.readline()).decode()
                assert line, said
                said += line
    finally:
        if process.returncode is None:
            process.terminate()
        said += (await process.communicate())[1].decode()
    assert MARKER not in said


@pytest.mark.parametrize("make", [facebook, tiktok])
def test_no_problem_of_a_personal_field_repeats_what_was_in_it(make: Any) -> None:
    validator = EventValidator(max_event_bytes=1_000_000, max_string_chars=500)
    wrong = (MARKER, [MARKER], {MARKER: MARKER}, MARKER + "\0", MARKER * 200, None, 1e300, True, "")
    refused = 0
    for field in PERSONAL[make()["source"]]:
        for value in wrong:
            verdict = validator.validate(text(with_value(make(), f"data.user.{field}", value)))
            if isinstance(verdict, Rejection):
                refused += 1
                for problem in verdict.problems:
                    assert problem.field
                    assert MARKER not in problem.message
    assert refused > 20
