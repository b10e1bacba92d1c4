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

import msgspec
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from shared.events.platform import literal
from shared.events.quick import MAX_NESTING, quick_look
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
    "forbidden_source": RejectReason.FORBIDDEN_SOURCE,
}
_NUL_ESCAPE: Final = b"\\u0000"


class _Names(msgspec.Struct, rename="camel", gc=False):
    event_id: msgspec.Raw = msgspec.Raw()
    source: msgspec.Raw = msgspec.Raw()


_decode_names: Final = msgspec.json.Decoder(_Names).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_MAX_NOT_QUITE_JSON_BYTES: Final = 64 * 1024

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

    def __init__(
        self,
        registry: Registry = REGISTRY,
        *,
        max_event_bytes: int,
        max_nesting: int = MAX_NESTING,
        max_string_chars: int | None = None,
    ) -> None:
        """Without `max_string_chars`, a string may be as long as its event."""
        self._max_event_bytes = max_event_bytes
        self._max_nesting = max_nesting
        self._max_string_chars = max_string_chars if max_string_chars is not None else max_event_bytes
        # an event no longer than a string may be has no string that is longer
        self._quick_look = quick_look(registry, max_nesting=max_nesting, max_event_bytes=self._max_string_chars)
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
        if (problem := self._over_limit(event, parsed) or _nul(event, parsed)) is not None:
            return self._reject(event, problem)
        return accepted

    def forbid(self, event: bytes) -> Rejection:
        """Why a valid event is refused all the same: its sender may not send its source."""
        return self._reject(
            event, Problem("forbidden_source", "source", "This sender may not send events of this source")
        )

    def _over_limit(self, event: bytes, parsed: Any) -> Problem | None:
        """What is nested too deep, or a string that is too long, in an event that is large enough for either."""
        may_be_deep = event.count(b"[") + event.count(b"{") > self._max_nesting
        if not may_be_deep and len(event) <= self._max_string_chars:
            return None
        level = [("", parsed)]
        for depth in range(self._max_nesting + 1):
            if too_long := next((path for path, part in level if self._is_too_long(part)), None):
                message = f"String should have at most {self._max_string_chars} characters"
                return Problem("string_too_long", too_long[:MAX_FIELD_CHARS], message)
            if depth == self._max_nesting and any(isinstance(part, dict | list) for _, part in level):
                return Problem("nesting", "", f"Event is nested deeper than {self._max_nesting} levels")
            level = [child for path, part in level for child in _children(path, part)]
        return None

    def _is_too_long(self, part: Any) -> bool:
        texts = part if isinstance(part, dict) else (part,)
        return any(isinstance(text, str) and len(text) > self._max_string_chars for text in texts)

    def _reject(self, event: bytes, *problems: Problem) -> Rejection:
        """With what can be read of the event, where it is an object, to name it by."""
        event_id, source = _names(event)
        is_id = event_id is not None and 0 < len(event_id) <= MAX_IDENTIFIER_CHARS
        return Rejection(event_id if is_id else None, problems, source if source in self._sources else UNKNOWN_SOURCE)

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


def _names(event: bytes) -> tuple[str | None, str | None]:
    """The id and source of an event, whatever else is in it; None where that is no readable text.

    Nothing is made of the rest: of an event of 60 MB it could be gigabytes of objects. Only pydantic reads NaN, which
    some senders write for numbers that they don't have: it is asked where that is soon done.
    """
    try:
        names = _decode_names(event)
        return _text(names.event_id), _text(names.source)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        parsed = from_json(event) if len(event) <= _MAX_NOT_QUITE_JSON_BYTES else None
    except ValueError:
        return None, None
    found = (parsed.get("eventId"), parsed.get("source")) if isinstance(parsed, dict) else (None, None)
    event_id, source = (name if isinstance(name, str) else None for name in found)
    return event_id, source


def _text(value: msgspec.Raw) -> str | None:
    try:
        return _decode_text(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _tagged(choices: Any, field: str) -> Any:
    """The union of `choices` (models, or unions of them), told apart by one field's literal."""
    if len(choices) == 1:
        return choices[0]
    return Annotated[reduce(or_, choices), Field(discriminator=field)]


def _nul(event: bytes, parsed: Any) -> Problem | None:
    if _NUL_ESCAPE not in event or (path := _path_of_nul(parsed)) is None:
        return None
    message = "String should not contain NUL, which the database cannot hold"
    return Problem("string_nul", path[:MAX_FIELD_CHARS], message)


def _path_of_nul(value: Any, path: str = "") -> str | None:
    """The path of the first string (or key) with a NUL; None where the escape only looked like one."""
    if isinstance(value, str):
        return path if "\0" in value else None
    if isinstance(value, dict) and any("\0" in key for key in value):
        return path
    for where, child in _children(path, value):
        if (found := _path_of_nul(child, where)) is not None:
            return found
    return None


def _children(path: str, value: Any) -> list[tuple[str, Any]]:
    """What an array or object holds, each with its dotted path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(f"{path}.{key}" if path else str(key), child) for key, child in items]
