"""One event's bytes in, its source and id or the reasons against it out.

Invariant: a slice that is accepted here is well-formed JSON that PostgreSQL can store whole, known keys
and unknown ones, so nothing that passed can be refused further down. Nothing is kept: the objects built
to validate an event are dropped before the next one.

The rules are the platforms' pydantic models (`shared.events.registry`); this module words what they say,
and lets what is valid at a quick look (`shared.events.quick`) pass without asking them.
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final, Protocol

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from shared.events.platform import literal
from shared.events.quick import quick_look
from shared.events.registry import REGISTRY, Registry
from shared.events.types import MAX_IDENTIFIER_CHARS, PATTERN_PROBLEMS
from shared.outcomes import RejectReason

_CODES: Final = {
    "float_type": "number_type",
    "finite_number": "number_range",
    "union_tag_not_found": "missing",
}
_REASONS: Final = {
    "json_invalid": RejectReason.MALFORMED,
    "missing": RejectReason.MISSING_FIELD,
    "literal_error": RejectReason.UNKNOWN_VALUE,
    "too_large": RejectReason.TOO_LARGE,
}
_NUL_ESCAPE: Final = b"\\u0000"


UNKNOWN_SOURCE: Final = "unknown"
MAX_FIELD_CHARS: Final = 200
"""A path may go through keys of the sender's own making; longer ones are cut."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field: a stable code, the dotted path ("" for the whole event), a sentence.

    The sentence never holds the value of a field: it may be personal.
    """

    code: str
    field: str
    message: str


class Valid(Protocol):
    """What the gateway needs to know of a valid event. It holds on to the event's bytes: drop it soon."""

    @property
    def source(self) -> str:
        """The platform it comes from."""

    @property
    def event_id(self) -> str:
        """The platform's id of it."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an event can never be accepted: its id where it has a readable one, at least one problem.

    `source` is the event's where it names one that is registered, else `UNKNOWN_SOURCE`.
    """

    event_id: str | None
    problems: tuple[Problem, ...]
    source: str = UNKNOWN_SOURCE

    @property
    def reason(self) -> RejectReason:
        """The metric label of the first problem."""
        code = self.problems[0].code
        if reason := _REASONS.get(code):
            return reason
        return RejectReason.WRONG_TYPE if code.endswith("_type") else RejectReason.BAD_VALUE


class EventValidator:
    """Validates events against every platform of a registry. Compiled once; safe to share; never blocks."""

    def __init__(self, registry: Registry = REGISTRY, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._quick_look = quick_look(registry)
        self._sources = frozenset(registry.sources)
        self._tags = frozenset(registry.sources) | {
            stage for platform in registry for model in platform.models for stage in literal(model, "funnel_stage")
        }
        platforms = [_tagged(platform.models, "funnel_stage") for platform in registry]
        self._validate_json = TypeAdapter[Any](_tagged(platforms, "source")).validator.validate_json

    def validate(self, event: bytes) -> Valid | Rejection:
        """The event's source and id, or why it is refused. `event` is the JSON text of one event, as received."""
        if len(event) > self._max_event_bytes:
            message = f"Event has {len(event)} bytes; {self._max_event_bytes} is the most that one may have"
            return self._reject(event, Problem("too_large", "", message))
        if (envelope := self._quick_look(event)) is not None:
            return envelope
        try:
            accepted: Valid = self._validate_json(event)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=True, include_input=False)
            return self._reject(event, *(self._problem(problem) for problem in problems))
        try:
            parsed = from_json(event, allow_inf_nan=False)  # the models do not look at the values of unknown keys
        except ValueError as error:
            return self._reject(event, Problem("json_invalid", "", f"Invalid JSON: {error}"))
        if _NUL_ESCAPE in event and (path := _path_of_nul(parsed)) is not None:
            problem = Problem(
                "string_nul", path[:MAX_FIELD_CHARS], "String should not contain NUL, which the database cannot hold"
            )
            return self._reject(event, problem)
        return accepted

    def _reject(self, event: bytes, *problems: Problem) -> Rejection:
        """With what can be read of the event, where it is an object, to name it by."""
        try:
            parsed = from_json(event)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            return Rejection(None, problems)
        event_id, source = parsed.get("eventId"), parsed.get("source")
        is_id = isinstance(event_id, str) and 0 < len(event_id) <= MAX_IDENTIFIER_CHARS
        if not isinstance(source, str) or source not in self._sources:
            source = UNKNOWN_SOURCE
        return Rejection(event_id if is_id else None, problems, source)

    def _problem(self, error: ErrorDetails) -> Problem:
        path = list(error["loc"])
        while path and path[0] in self._tags:
            del path[0]  # the choices made on the way to the model, not fields
        code, message, context = error["type"], error["msg"], error.get("ctx", {})
        if code in {"union_tag_invalid", "union_tag_not_found"}:
            path.append(context["discriminator"].split("|")[-1].strip(" '"))  # `'name' | 'alias'`
        if code == "union_tag_invalid":
            code, message = "literal_error", f"Input should be one of {context['expected_tags']}"
        elif code == "union_tag_not_found":
            message = "Field required"
        elif code == "string_pattern_mismatch":
            code, message = PATTERN_PROBLEMS.get(context["pattern"], (code, message))
        return Problem(_CODES.get(code, code), ".".join(map(str, path)), message)


def _tagged(choices: Any, field: str) -> Any:
    """The union of `choices` (models, or unions of them), told apart by one field's literal."""
    if len(choices) == 1:
        return choices[0]
    return Annotated[reduce(or_, choices), Field(discriminator=field)]


def _path_of_nul(value: Any, path: str = "") -> str | None:
    """The path of the first string (or key) with a NUL; None where the escape only looked like one."""
    if isinstance(value, str):
        return path if "\0" in value else None
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if isinstance(key, str) and "\0" in key:
            return path
        if (found := _path_of_nul(child, f"{path}.{key}" if path else str(key))) is not None:
            return found
    return None
