"""Settings from the environment: the base of all sections, and how a wrong one is told.

Invariant: the environment is read once, in a program's `__main__`; what the program then holds is
frozen and complete. Times are milliseconds in the environment and carry their unit in the field's name.
"""

import os
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import SettingsError


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


Milliseconds = Annotated[int, Field(ge=1, le=86_400_000), BeforeValidator(_strip)]
Port = Annotated[int, Field(ge=0, le=65_535), BeforeValidator(_strip)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_strip)]


class Settings(BaseSettings):
    """Base of every section. A field's alias is its variable, its description its row in docs/settings.md."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True, validate_default=True
    )

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment. Raises SettingsError with one line a wrong variable; `values` come first."""
        try:
            return cls(**values)
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


def _line(section: type[Settings], problem: Any) -> str:
    """One sentence: the variable, what it got, what it takes."""
    name = str(problem["loc"][0]) if problem["loc"] else ""
    field = next((f for n, f in section.model_fields.items() if name in {n, f.alias}), None)
    variable = (field.alias if field else None) or name or section.__name__
    message: str = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if problem["type"] == "missing":
        return f"{variable} is not set; it takes {field.description if field else 'a value'}"
    if not problem["loc"]:
        return message
    shown = "***" if field is not None and _is_secret(field) else repr(os.environ.get(variable, problem["input"]))
    return f"{variable}={shown}: takes {message}"


def _is_secret(field: Any) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))
