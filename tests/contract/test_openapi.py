"""The OpenAPI document says what the gateway does: its routes, statuses, types of problem, and what an event is."""

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs
import pytest
import structlog
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.api.document import openapi
from gateway.api.pages import FILES
from gateway.app import MIN_MAX_PAYLOAD_BYTES, AllSettings, Gateway
from gateway.problem_types import NO_TYPE, PROBLEM_TYPES, PROBLEMS_PATH
from gateway.senders import Sender, Senders
from gateway.settings import AccessSettings, GatewaySettings
from gateway.signatures import Scheme
from loadtest.corruptions import CORRUPTIONS
from loadtest.generator import Plan, batches
from shared.events import (
    REGISTRY,
    DemographicsPaths,
    Envelope,
    EventValidator,
    Platform,
    Registry,
    Rejection,
    RevenuePaths,
)  # fmt: skip
from shared.events.types import Identifier, Model
from shared.lifecycle import Shutdown
from shared.metrics import GatewayMetrics
from shared.outcomes import RefuseReason
from streams.publisher import HEADERS_ROOM_BYTES
from streams.settings import NatsSettings, PublishSettings, StreamSettings
from tests.unit.shared.rules import KINDS, MISSING, is_valid, paths, put, sample

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = openapi(REGISTRY, GatewaySettings())
VALIDATOR = EventValidator(max_event_bytes=1_000_000, max_nesting=GatewaySettings().max_nesting)
METHODS = ("get", "post")


def _schema(name: str) -> Any:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


EVENT = _schema("Event")


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            assert method in METHODS
            yield method.upper(), path, item[method]


def _resolved(thing: dict[str, Any]) -> dict[str, Any]:
    found: Any = thing
    if "$ref" in thing:
        found = DOCUMENT
        for step in thing["$ref"].removeprefix("#/").split("/"):
            found = found[step]
    return dict(found)


def _examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every media type's schema with each of its examples."""
    if isinstance(node, dict):
        if "schema" in node:
            for example in node.get("examples", {}).values():
                yield node["schema"], example["value"]
        for child in node.values():
            yield from _examples(child)
    elif isinstance(node, list):
        for child in node:
            yield from _examples(child)


def test_it_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(json.loads(json.dumps(DOCUMENT))).validate()
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_every_route_is_in_it_and_no_other() -> None:
    settings = AllSettings(
        gateway=GatewaySettings(),
        nats=NatsSettings(),
        streams=StreamSettings(),
        publish=PublishSettings(),
        access=AccessSettings(),
    )
    shaking_hands = Sender("meta", signature=Scheme.META, verify_token="a token")
    gateway = Gateway(
        settings,
        registry=REGISTRY,
        shutdown=Shutdown(),
        log=structlog.get_logger(),
        metrics=GatewayMetrics(),
        senders=Senders({"meta": shaking_hands}, {}),
    )
    served = {
        (route.method, route.resource.canonical)
        for route in gateway._front.public.router.routes()
        if route.resource is not None and route.method != "HEAD"  # wherever GET is
        # The console's page and what it asks for are no API: they change with it.
        if route.resource.canonical != "/" and not route.resource.canonical.startswith("/console/")
    }
    described = {(method, path) for method, path, _ in _operations()}
    assert served == described


def test_every_status_of_the_code_is_in_it() -> None:
    """Statuses that the gateway's code names, in an answer or a refusal."""
    named = set()
    for file in [*(ROOT / "gateway").glob("*.py"), ROOT / "gateway/api/pages.py", ROOT / "shared/ops.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in HTTPStatus.__members__:
                named.add(HTTPStatus[node.attr].value)
            elif isinstance(node, ast.Constant) and type(node.value) is int and 200 <= node.value <= 599:
                named |= {node.value} & {status.value for status in HTTPStatus}
    described = {int(status) for _, _, operation in _operations() for status in operation["responses"]}
    assert {200, 400, 408, 413, 415, 422, 503} <= named
    assert named <= described
    assert described <= named


def test_every_operation_may_be_refused_a_method_or_fail() -> None:
    for _, path, operation in _operations():
        assert {"200", "405", "500"} <= set(operation["responses"]), path


def test_problems_carry_their_headers() -> None:
    for method, path, operation in _operations():
        for status, response in operation["responses"].items():
            answer = _resolved(response)
            if "application/problem+json" in answer.get("content", {}):
                assert "x-correlation-id" in answer["headers"], (method, path, status)
                assert ("Retry-After" in answer["headers"]) == (status in {"429", "503"})
                assert ("RateLimit" in answer["headers"]) == (status == "429")
                assert ("Allow" in answer["headers"]) == (status == "405")


def test_every_reason_to_refuse_has_a_type_of_its_own_and_stands_in_the_docs() -> None:
    assert set(PROBLEM_TYPES) == set(RefuseReason)
    uris = [kind.uri for kind in PROBLEM_TYPES.values()]
    assert len(set(uris)) == len(uris)
    described = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert set(described) == {NO_TYPE, *uris}
    page = (ROOT / "docs/api.md").read_text()
    told = set(re.findall(rf"`({PROBLEMS_PATH}#[a-z-]+)`", page))
    assert told == set(uris)


def test_every_example_is_what_its_schema_says() -> None:
    found = 0
    for schema, example in _examples(DOCUMENT["paths"] | DOCUMENT["components"]["responses"]):
        validator = jsonschema_rs.Draft202012Validator(schema | {"components": DOCUMENT["components"]})
        assert validator.is_valid(example), [str(error) for error in validator.iter_errors(example)]
        found += 1
    assert found > 20


def test_there_is_a_valid_example_of_each_platform_and_stage() -> None:
    examples = DOCUMENT["paths"]["/webhook/events"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for platform in REGISTRY:
        for model in platform.models:
            (stage,) = model.model_fields["funnel_stage"].annotation.__args__  # type: ignore[union-attr]  # a Literal
            event = examples[f"{platform.source}-{stage}"]["value"]
            assert (event["source"], event["funnelStage"]) == (platform.source, stage)
            verdict = VALIDATOR.validate(json.dumps(event).encode())
            assert not isinstance(verdict, Rejection)
            assert verdict.source == platform.source
            assert event in DOCUMENT["components"]["schemas"][f"{platform.source}.{model.__name__}"]["examples"]
    for content in DOCUMENT["paths"]["/webhook/events/bulk"]["post"]["requestBody"]["content"].values():
        for example in content["examples"].values():
            assert example["value"]


def test_generated_events_are_valid_by_the_schema_where_they_are_by_the_models() -> None:
    plan = Plan(total=600, batch=200, invalid_share=0.3, seed=7)
    seen = set()
    for batch in batches(plan):
        for index, text in enumerate(batch.events):
            corruption = batch.invalid.get(index)
            by_models = not isinstance(VALIDATOR.validate(text.encode()), Rejection)
            assert by_models == (corruption is None)
            if corruption not in ONLY_THE_MODELS_SEE:
                assert EVENT.is_valid(json.loads(text)) == by_models, (corruption, text)
            seen.add(corruption)
    assert seen == {None, *(one.name for one in CORRUPTIONS)}


ONLY_THE_MODELS_SEE = {"nul_in_text", "lone_surrogate"}
"""Corruptions that JSON Schema has no words for; the document's description tells of them."""

SPOILS: tuple[Any, ...] = (
    MISSING, None, True, "", "25", "x" * 256, 25, -1.5, 2.0**53, 10**30, [], {}, ["x"], "Facebook", "TOP", "-1", "1e3",
    "2026-01-25", "2026-01-25T17:31:13", "1" * 19, "0.123456789", "12.34",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_schema_and_models_agree_on_every_field_put_wrong(kind: tuple[str, str]) -> None:
    refused = 0
    for path in paths(sample(*kind)):
        for value in SPOILS:
            event = put(sample(*kind), path, value)
            by_models = not isinstance(VALIDATOR.validate(json.dumps(event).encode()), Rejection)
            assert EVENT.is_valid(event) == by_models == is_valid(event), (path, value)
            refused += not by_models
    assert refused > 100


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("timestamp", "2026-02-30T17:31:13Z"),
        ("timestamp", "1969-12-31T23:59:59Z"),
        ("eventId", "a\0b"),
        ("eventId", "\ud800"),
    ],
)
def test_what_the_schema_takes_and_the_models_refuse_is_told(path: str, value: str) -> None:
    event = put(sample("facebook", "top"), path, value)
    assert isinstance(VALIDATOR.validate(json.dumps(event).encode()), Rejection)
    assert "What is refused although the schemas take it" in DOCUMENT["info"]["description"]
    if value.isprintable():
        assert EVENT.is_valid(event)


def test_the_bounds_of_an_event_are_told_as_they_are() -> None:
    longest = f"{MIN_MAX_PAYLOAD_BYTES - 2 * HEADERS_ROOM_BYTES:,} bytes"
    depth = GatewaySettings().max_nesting
    assert longest in DOCUMENT["info"]["description"]
    assert f"{depth} levels" in DOCUMENT["info"]["description"]
    for levels, is_taken in (depth, True), (depth + 1, False):
        event = sample("tiktok", "top") | {"more": json.loads("[" * (levels - 1) + "]" * (levels - 1))}
        assert isinstance(VALIDATOR.validate(json.dumps(event).encode()), Rejection) != is_taken, levels


def test_a_further_platform_is_described_at_once_and_needs_no_example() -> None:
    class User(Model):
        user_id: Identifier

    class Data(Model):
        user: User

    class Pin(Envelope):
        source: Literal["pinboard"]
        funnel_stage: Literal["top"]
        event_type: Literal["pin"]
        data: Data

    pinboard = Platform(
        source="pinboard", models=(Pin,), demographics=DemographicsPaths(), revenue=RevenuePaths(amount=None)
    )
    document = openapi(Registry(*REGISTRY, pinboard), GatewaySettings())
    OpenAPIV31SpecValidator(json.loads(json.dumps(document))).validate()
    event = jsonschema_rs.Draft202012Validator(
        {"$ref": "#/components/schemas/Event", "components": document["components"]}
    )
    pin = {
        "eventId": "pin-1", "timestamp": "2026-01-25T17:31:13.660Z", "source": "pinboard", "funnelStage": "top",
        "eventType": "pin", "data": {"user": {"userId": "u-1"}},
    }  # fmt: skip
    assert event.is_valid(pin)
    assert not event.is_valid(pin | {"eventType": "like"})
    assert event.is_valid(sample("facebook", "top"))


def test_limits_come_from_the_settings() -> None:
    document = openapi(REGISTRY, GatewaySettings(max_bulk_events=17, max_reported_errors=3))
    assert '"maxItems": 17' in json.dumps(document["paths"])
    assert document["components"]["schemas"]["BulkAnswer"]["properties"]["errors"]["maxItems"] == 3


def test_the_files_of_the_page_are_those_that_were_taken() -> None:
    folder = ROOT / "gateway/static/docs"
    taken = dict(line.split()[::-1] for line in (folder / "hashes.txt").read_text().splitlines())
    for name, digest in taken.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert set(FILES) - {"start.js"} <= set(taken)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
