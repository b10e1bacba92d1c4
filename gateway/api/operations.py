"""The routes as OpenAPI's path items: who may call them, what they take, what they answer."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from gateway.api.answers import bulk_answers, plain, problems, receipt_answer
from gateway.api.schemas import CORRELATION_ID, Schema, ref
from gateway.decompress import CODINGS
from gateway.problem_types import PROBLEMS_PATH
from gateway.scopes import Scope

SINGLE, BULK, DOCS = "/webhook/events", "/webhook/events/bulk", "/docs"
_ANY: Final = (405, 431, 500)
"""What every route may answer."""

SECURITY_SCHEMES: Final[Mapping[str, Schema]] = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The sender's key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key, as a bearer token"},
    "standardWebhooks": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}."
        "{body}`, several with blanks between them. The body is signed as it is sent, compressed or not; `sender` "
        "names whose secret it is.",
    },
    "meta": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature-256",
        "description": "Meta: `sha256=` and the hex of HMAC-SHA256 over the body as it is sent; `sender` names whose "
        "secret it is.",
    },
    "tiktok": {
        "type": "apiKey",
        "in": "header",
        "name": "TikTok-Signature",
        "description": "TikTok: `t={seconds},s=` and the hex of HMAC-SHA256 over `{t}.{body}`, the body as it is sent; "
        "`sender` names whose secret it is.",
    },
}
_KEYS: Final = ("apiKey", "bearer")
_SIGNATURES: Final = ("standardWebhooks", "meta", "tiktok")


def parameters() -> dict[str, Schema]:
    """Components: the parameters that routes share."""
    text = {"type": "string"}
    return {
        "correlationId": _parameter(
            "header", "x-correlation-id", "Kept where it is sane, else a UUID is made", CORRELATION_ID
        ),
        "traceparent": _parameter("header", "traceparent", "W3C Trace Context; passed on with the events", text),
        "contentEncoding": _parameter(
            "header",
            "Content-Encoding",
            "How the body is compressed; limits count its bytes decompressed",
            {"type": "string", "enum": ["identity", *CODINGS]},
        ),
        "sender": _parameter("query", "sender", "Name of the sender whose secret the signature is made with", text),
        "webhookId": _parameter("header", "webhook-id", "Standard Webhooks: the same for each retry", text),
        "webhookTimestamp": _parameter(
            "header", "webhook-timestamp", "Standard Webhooks: seconds since 1970, as signed", text
        ),
    }


def paths(*, max_events: int, examples: Mapping[str, Any]) -> dict[str, Schema]:
    """All routes. `examples`: events as example objects, by name."""
    one: Schema = ref("Event")
    many: Schema = {"type": "array", "items": one, "maxItems": max_events, "title": "An array of events"}
    wrapped: Schema = {
        "type": "object",
        "title": "An object with the events",
        "properties": {"events": many},
        "required": ["events"],
    }
    events = [example["value"] for example in examples.values()]
    arrays = {"array": {"value": events}}
    no_content = plain("It is as the ETag sent says", {}, ("ETag",))
    described = {"304": no_content, **problems(*_ANY)}
    return {
        SINGLE: {
            "get": _handshake("single"),
            "post": _ingest(
                "sendEvent",
                "Send one event",
                "An array or NDJSON is taken as a bulk.",
                _bodies({"oneOf": [one, many]}, {**examples, **arrays}, events),
            ),
        },
        BULK: {
            "get": _handshake("bulk"),
            "post": _ingest(
                "sendEvents",
                "Send many events",
                f"Up to {max_events} events of any platforms: in an object, as a bare array, or a line each.",
                _bodies({"oneOf": [wrapped, many]}, {"object": {"value": {"events": events}}, **arrays}, events),
            ),
        },
        BULK + "/{correlationId}": {
            "get": {
                "operationId": "readReceipt",
                "tags": ["receipts"],
                "summary": "Ask what became of a request",
                "security": _security(Scope.READ),
                "parameters": [
                    _parameter("path", "correlationId", "One id for several requests sums them", CORRELATION_ID)
                ],
                "responses": {"200": receipt_answer(), **problems(401, 403, 404, 422, 503, *_ANY)},
            }
        },
        "/health/live": _read("live", "health", "Whether the process lives", {"200": _json("It does", "Live")}),
        "/health/ready": _read(
            "ready",
            "health",
            "Whether it can take events now",
            {"200": _json("It can", "Ready"), "503": _json("It can't; `checks` tell why", "Ready")},
        ),
        "/metrics": _read(
            "metrics",
            "health",
            "Metrics for Prometheus",
            {
                "200": plain(
                    "In the format that Accept asks for", _texts("text/plain", "application/openmetrics-text")
                ),
                **problems(401, 403),
            },
            _security(Scope.READ),
        ),
        "/openapi.json": _read(
            "openapi",
            "description",
            "This document",
            {"200": plain("OpenAPI 3.1", {"application/json": {"type": "object"}}, ("ETag",)), **described},
        ),
        DOCS: _read(
            "docs",
            "description",
            "This document as a page, to read and to try",
            {"200": plain("A page", _texts("text/html"), ("ETag",)), **described},
        ),
        DOCS + "/{file}": {
            "get": {
                "operationId": "docsFile",
                "tags": ["description"],
                "summary": f"A file of the page, or what the types of problems mean ({PROBLEMS_PATH})",
                "security": [{}],
                "parameters": [_parameter("path", "file", "Its name", {"type": "string", "examples": ["problems"]})],
                "responses": {
                    "200": plain(
                        "The file", _texts("text/html", "text/css", "text/javascript", "text/plain"), ("ETag",)
                    ),
                    **problems(404),
                    **described,
                },
            }
        },
    }


def _ingest(operation: str, summary: str, description: str, content: Schema) -> Schema:
    return {
        "operationId": operation,
        "tags": ["events"],
        "summary": summary,
        "description": description + " Sending a request again is always safe: an event is stored once by its source "
        "and `eventId`.",
        "security": _security(Scope.INGEST, _SIGNATURES),
        "parameters": [ref(name, "parameters") for name in parameters()],
        "requestBody": {"required": True, "content": content},
        "responses": {**bulk_answers(), **problems(400, 401, 408, 413, 415, 429, *_ANY)},
    }


def _handshake(name: str) -> Schema:
    text = {"type": "string"}
    return {
        "operationId": f"{name}Handshake",
        "tags": ["events"],
        "summary": "Meta's handshake when a webhook is registered",
        "security": [{}],
        "parameters": [
            _parameter("query", "hub.mode", "What is asked", {"type": "string", "const": "subscribe"}, required=True),
            _parameter("query", "hub.challenge", "Answered as it is", text, required=True),
            _parameter("query", "hub.verify_token", "The token of the sender's settings", text, required=True),
            ref("sender", "parameters"),
        ],
        "responses": {
            "200": plain("`hub.challenge`, as it was sent", _texts("text/plain")),
            **problems(400, 403, *_ANY),
        },
    }


def _read(operation: str, tag: str, summary: str, responses: Schema, security: list[Schema] | None = None) -> Schema:
    return {
        "get": {
            "operationId": operation,
            "tags": [tag],
            "summary": summary,
            "security": security or [{}],
            "responses": {**problems(*_ANY), **responses},
        }
    }


def _bodies(schema: Schema, examples: Mapping[str, Any], events: Iterable[Any]) -> Schema:
    """The request's content, by media type. `text/json` and `application/ndjson` are taken for the same."""
    lines = b"".join(orjson.dumps(event) + b"\n" for event in events).decode()
    return {
        "application/json": {"schema": schema, "examples": examples},
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "An event a line"},
            "examples": {"lines": {"value": lines}},
        },
    }


def _security(scope: Scope, more: tuple[str, ...] = ()) -> list[Schema]:
    """Any of these; none at all where the gateway runs open."""
    return [*({name: [scope.value]} for name in (*_KEYS, *more)), {}]


def _parameter(place: str, name: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {
        "name": name,
        "in": place,
        "description": description,
        "required": required or place == "path",
        "schema": schema,
    }


def _json(description: str, schema: str) -> Schema:
    return plain(description, {"application/json": ref(schema)})


def _texts(*media_types: str) -> dict[str, Schema]:
    return {media_type: {"type": "string"} for media_type in media_types}
