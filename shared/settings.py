"""Settings from the environment: the base of all sections, and how a wrong one is told.

Invariant: the environment is read once, in a program's `__main__`; what the program then holds is
frozen and complete. Times are milliseconds in the environment and carry their unit in the field's name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, Self, get_args, get_origin

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import SettingsError


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts, for people; a mark on its type."""

    name: str


MILLISECONDS: Final = Unit("milliseconds")

Milliseconds = Annotated[int, Field(ge=1, le=86_400_000), BeforeValidator(_strip), MILLISECONDS]
Port = Annotated[int, Field(ge=0, le=65_535), BeforeValidator(_strip)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_strip)]

FROM_FILE: Final = "_FILE"
"""Behind a secret's variable: names the file that holds the value, as container platforms mount them."""

_KINDS: Final = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class Settings(BaseSettings):
    """Base of every section. A field's alias is its variable, its description its row in docs/settings.md.

    `json_schema_extra` may hold "secret": True, for a value that is never shown and may come from a file, and
    "takes": in words, what a type and its bounds do not say.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True, validate_default=True
    )

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment, and the files that it names for secrets; `values` come first.

        Raises SettingsError with one line a wrong variable.
        """
        try:
            return cls(**{**_from_files(cls, values), **values})
        except ValidationError as error:
            raise SettingsError("\n".join(_line(cls, problem) for problem in error.errors())) from None


class LogSettings(Settings):
    """How a program logs."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", alias="LOG_LEVEL", description="The least level that is logged"
    )
    format: Literal["console", "json"] = Field(
        "json", alias="LOG_FORMAT", description="`json`, a line an entry, or `console` for people"
    )
    repeats: Count = Field(
        60,
        alias="LOG_REPEATS",
        description="Times a minute that the same warning or error is logged; the next one says how many were "
        "suppressed, and metrics count all of them",
    )
    force_color: str | None = Field(
        None,
        alias="FORCE_COLOR",
        description="Any value: colours in `console` lines though standard error is no terminal",
    )
    no_color: str | None = Field(None, alias="NO_COLOR", description="Any value: no colours anywhere")


class TracingSettings(Settings):
    """Whether a program sends traces; where to is said by OpenTelemetry's own variables."""

    tracing: Literal["off", "otlp"] = Field(
        "off",
        alias="TRACING",
        description="`otlp` sends traces by OTLP over HTTP, and needs the extra `otel`; endpoint, sampler and "
        "service name are the standard `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`",
    )


def takes(field: FieldInfo) -> str:
    """In words, which values a setting takes: `a whole number from 1 to 65535`, `json or console`."""
    if words := _extra(field, "takes"):
        return str(words)
    kind: Any = field.annotation
    if NoneType in get_args(kind):
        kind = next(choice for choice in get_args(kind) if choice is not NoneType)
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"{', '.join(others)} or {last}"
    words = _KINDS[get_args(kind)[0] if get_origin(kind) is Annotated else kind]
    if unit := next((mark.name for mark in _marks(field) if isinstance(mark, Unit)), None):
        words += f" of {unit}"
    if pattern := _limit(field, "pattern"):
        return f"{words} that matches {pattern}"
    least, over, most = (_limit(field, name) for name in ("ge", "gt", "le"))
    if least is not None:
        words += f" from {least}" if most is not None else f", {least} or more"
    if over is not None:
        words += f" over {over}"
    if most is not None:
        words += f" to {most}" if least is not None else f", {most} at most"
    return words


def secret(variable: str, environment: Mapping[str, str]) -> str | None:
    """A secret from its variable, or from the file that `<variable>_FILE` names; None where neither is set.

    Line breaks at the file's end are not part of it. Raises SettingsError where both are set, or the file can't
    be read or is empty.
    """
    value, path = environment.get(variable), environment.get(variable + FROM_FILE)
    if not path:
        return value or None
    if value:
        raise SettingsError(f"{variable} and {variable}{FROM_FILE} are both set: set one of them")
    try:
        text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{variable}{FROM_FILE}={path!r}: the file can't be read: {reason}") from None
    if not text:
        raise SettingsError(f"{variable}{FROM_FILE}={path!r}: the file is empty")
    return text


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting's value must not be shown."""
    return bool(_extra(field, "secret"))


def _from_files(section: type[Settings], given: Mapping[str, object]) -> dict[str, Any]:
    """The secrets of a section that come from files, by variable. Raises SettingsError, a line a wrong one."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, field in section.model_fields.items():
        variable = str(field.alias)
        if not is_secret(field) or not os.environ.get(variable + FROM_FILE) or given.keys() & {name, variable}:
            continue
        try:
            found[variable] = secret(variable, os.environ)
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("\n".join(problems))
    return found


def _line(section: type[Settings], problem: Any) -> str:
    """One sentence: the variable, what it got, what it takes."""
    if not problem["loc"]:  # the section's own check of its values against each other
        return str(problem["msg"]).removeprefix("Value error, ")
    name = str(problem["loc"][0])
    field = next((field for key, field in section.model_fields.items() if name in {key, field.alias}), None)
    if field is None:
        return f"{name}: {section.__name__} has no such setting"
    variable = field.alias or name
    if problem["type"] == "missing":
        return f"{variable} is not set; it takes {takes(field)}"
    if not is_secret(field):
        return f"{variable}={os.environ.get(variable, problem['input'])!r}: takes {takes(field)}"
    if path := os.environ.get(variable + FROM_FILE):
        return f"{variable}{FROM_FILE}={path!r}: in the file, it takes {takes(field)}"
    return f"{variable}=***: takes {takes(field)}"


def _limit(field: FieldInfo, name: str) -> object:
    return next((value for mark in _marks(field) if (value := getattr(mark, name, None)) is not None), None)


def _marks(field: FieldInfo) -> list[Any]:
    """What its type is annotated with, of a type that may be None too."""
    marks = list(field.metadata)
    for choice in get_args(field.annotation):
        for mark in get_args(choice)[1:] if get_origin(choice) is Annotated else ():
            marks += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return marks


def _extra(field: FieldInfo, key: str) -> object:
    extra = field.json_schema_extra
    return extra.get(key) if isinstance(extra, dict) else None
