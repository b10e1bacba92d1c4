"""What goes in and out as JSON Schema: the events from their models, the answers as they are written.

Invariant: an event's schema is made from the model that validates it, so it can't say less. The models say more
than JSON Schema can: `NOT_IN_THE_SCHEMA` lists it for whoever reads the document.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from gateway.correlation import SANE
from gateway.problem_types import NO_TYPE, PROBLEM_TYPES
from shared.events import Registry
from shared.events.platform import Envelope, Platform, literal

Schema = dict[str, Any]

NOT_IN_THE_SCHEMA: Final = (
    "a time that is not in the calendar, or a `timestamp` outside the years 1970 to 9998",
    "a NUL or a lone surrogate in any string",
    "an event of more than 1,032,192 bytes",
)
"""What the models refuse although the schema takes it."""

CORRELATION_ID: Final[Schema] = {
    "type": "string",
    "pattern": f"^{SANE.pattern}$",
    "examples": ["order-sync-2026-01-25"],
}


def ref(name: str, section: str = "schemas") -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/{section}/{name}"}


def event_schemas(registry: Registry) -> dict[str, Schema]:
    """Components: `Event`, one a platform by its source, and its models with their parts, as `source.Model`."""
    schemas: dict[str, Schema] = {"Event": _one_of("Event", "source", {one.source: one.source for one in registry})}
    for platform in registry:
        schemas |= _platform(platform)
    return schemas


def event_examples(registry: Registry) -> dict[str, Schema]:
    """An event for each model that brings one, by source and stage, as OpenAPI's example objects."""
    return {
        f"{platform.source}-{stage}": {"summary": _title(platform, model), "value": example}
        for platform in registry
        for model in platform.models
        for (stage,) in [literal(model, "funnel_stage")]
        for example in _extra(model).get("examples", [])[:1]
    }


def answer_schemas(max_reported_errors: int) -> dict[str, Schema]:
    """Components: what the gateway answers. Closed: an answer with another key is not described."""
    count: Schema = {"type": "integer", "minimum": 0}
    text: Schema = {"type": "string"}
    flag: Schema = {"type": "boolean"}
    reported: Schema = {"type": "array", "maxItems": max_reported_errors}
    wrong: Schema = {"code": text, "field": _or_null("Dotted path; null for the whole event"), "message": text}
    settled: Schema = dict.fromkeys(("accepted", "stored", "duplicates", "deadLettered", "pending"), count)
    kinds = [NO_TYPE, *(kind.uri for kind in PROBLEM_TYPES.values())]
    return {
        "BulkAnswer": _object(
            "What became of the events of a request.",
            {
                "success": flag | {"description": "Whether every valid event is durable and there was one"},
                "message": text,
                "processed": count | {"description": "Events that are on the broker's disk"},
                "failed": count | {"description": "Events that are not"},
                "errors": reported | {"items": text},
                "errorDetails": reported | {"items": ref("EventError")},
                "errorsTruncated": flag
                | {"description": "Whether there are more than listed; the counts are never cut"},
                "correlationId": text,
            },
        ),
        "EventError": _object(
            "Why an event was not taken.",
            {
                "index": count | {"description": "Its place in the request"},
                "eventId": _or_null("Null where it can't be read"),
                **wrong,
                "retryable": flag | {"description": "Whether sending the same event again can help"},
                "alsoWrong": {"type": "array", "items": _object("A further problem of the event.", wrong)},
            },
            optional="alsoWrong",
        ),
        "Receipt": _object(
            "accepted = stored + duplicates + deadLettered + pending, always.",
            {
                "correlationId": text,
                **settled,
                "failed": count | {"description": "Events that the gateway refused"},
                "replayed": count | {"description": "Events that an operator put through again; outside the sum"},
                "requests": count | {"description": "Requests that had this id"},
                "complete": flag | {"description": "Whether nothing is pending"},
                "bySource": {"type": "object", "additionalProperties": _object("Of one platform.", settled)},
            },
        ),
        "Problem": _object(
            "RFC 9457.",
            {
                "type": {"type": "string", "enum": kinds},
                "title": text,
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": text | {"description": "What was wrong, and what to do"},
                "correlationId": text,
            },
        ),
        "Live": _object("The event loop turns.", {"status": {"const": "live"}}),
        "Ready": _object(
            "Whether work can be done now, and if not, what is down.",
            {
                "status": {"enum": ["ready", "not_ready"]},
                "checks": {"type": "object", "additionalProperties": _object("A part.", {"ok": flag, "detail": text})},
            },
        ),
    }


class _Untitled(GenerateJsonSchema):
    """Without a title for each field: it would be the field's name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - overrides pydantic's
        return False


def _platform(platform: Platform) -> dict[str, Schema]:
    source = platform.source
    stages = {
        stage: f"{source}.{model.__name__}" for model in platform.models for stage in literal(model, "funnel_stage")
    }
    schemas = {source: _one_of(f"{source.capitalize()} event", "funnelStage", stages)}
    for model in platform.models:
        made = model.model_json_schema(
            ref_template=f"#/components/schemas/{source}.{{model}}", schema_generator=_Untitled
        )
        parts = made.pop("$defs", {})
        schemas[f"{source}.{model.__name__}"] = made | {"title": _title(platform, model)}
        schemas |= {f"{source}.{name}": part for name, part in parts.items()}
    return schemas


def _title(platform: Platform, model: type[Envelope]) -> str:
    return f"{platform.source.capitalize()}, {literal(model, 'funnel_stage')[0]} of the funnel"


def _extra(model: type[Envelope]) -> Mapping[str, Any]:
    extra = model.model_config.get("json_schema_extra")
    return extra if isinstance(extra, dict) else {}


def _one_of(title: str, field: str, choices: Mapping[str, str]) -> Schema:
    """`choices`: value of the field → component."""
    references = {value: ref(name) for value, name in choices.items()}
    return {
        "title": title,
        "oneOf": list(references.values()),
        "discriminator": {
            "propertyName": field,
            "mapping": {value: reference["$ref"] for value, reference in references.items()},
        },
    }


def _object(description: str, properties: Schema, *, optional: str = "") -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name != optional],
        "additionalProperties": False,
    }


def _or_null(description: str) -> Schema:
    return {"type": ["string", "null"], "description": description}
