"""The whole OpenAPI document. Pure: the same registry and settings give the same document."""

from typing import Any

from gateway.api.answers import HEADERS, problem_responses
from gateway.api.operations import SECURITY_SCHEMES, parameters, paths
from gateway.api.schemas import NOT_IN_THE_SCHEMA, answer_schemas, event_examples, event_schemas
from gateway.problem_types import PROBLEMS_PATH
from gateway.settings import GatewaySettings
from shared.events import Registry
from shared.metrics import app_version


def openapi(registry: Registry, settings: GatewaySettings) -> dict[str, Any]:
    """OpenAPI 3.1, ready to be written as JSON."""
    examples = event_examples(registry)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Floodgate",
            "version": app_version(),
            "summary": "Takes ad events in by webhook and stores each of them once.",
            "description": _description(registry, settings),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "events", "description": "For senders: post events."},
            {"name": "receipts", "description": "For senders: ask what became of them."},
            {"name": "health", "description": "For whoever runs it."},
            {"name": "description", "description": "The API described by itself."},
        ],
        "paths": paths(max_events=settings.max_bulk_events, examples=examples),
        "components": {
            "schemas": event_schemas(registry) | answer_schemas(settings.max_reported_errors),
            "responses": problem_responses(),
            "headers": dict(HEADERS),
            "parameters": parameters(),
            "securitySchemes": dict(SECURITY_SCHEMES),
        },
    }


def _description(registry: Registry, settings: GatewaySettings) -> str:
    deep = f"an event nested deeper than {settings.max_nesting} levels, itself the first"
    long = f"a string of more than {settings.max_string_chars:,} characters"
    not_in_the_schema = "\n".join(f"- {one}" for one in (*NOT_IN_THE_SCHEMA, deep, long))
    return (
        f"Events of {' and '.join(registry.sources)}, singly or up to {settings.max_bulk_events} in a request of up to "
        f"{settings.max_body_bytes / 2**20:g} MiB, decompressed. A 200 says that every valid event is on "
        "the broker's disk.\n\n"
        "Every error that is no bulk answer is a problem document (RFC 9457); its `type` opens the page that explains "
        f"it: [{PROBLEMS_PATH}]({PROBLEMS_PATH}). HEAD is answered wherever GET is.\n\n"
        "Keys of an event that are not described are kept in what is stored. What is refused although the schemas "
        f"take it:\n\n{not_in_the_schema}\n"
    )
