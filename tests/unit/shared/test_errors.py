"""The tree of errors in the docstring is the tree of errors."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import errors
from shared.errors import Fatal, FloodgateError, NotDurable, Poison, Pressure, Retryable
from shared.outcomes import DeadLetterReason, PublishFailure

PRODUCT = Path(errors.__file__).resolve().parent.parent
CLASSES = (Retryable, Pressure, Poison, Fatal)


def _documented() -> dict[str, str]:
    """Each class in the docstring, with the one that it hangs from."""
    assert errors.__doc__ is not None
    parents: dict[str, str] = {}
    branch: list[str] = []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"^([│├└─ ]*)([A-Z]\w+)(?=  |$)", line):
            depth = len(found[1]) // 4
            branch[depth:] = [found[2]]
            if depth:
                parents[found[2]] = branch[depth - 1]
    return parents


def _defined() -> Iterator[tuple[str, str]]:
    for name, thing in vars(errors).items():
        if isinstance(thing, type) and issubclass(thing, FloodgateError) and thing is not FloodgateError:
            yield name, thing.__bases__[0].__name__


def test_the_documented_tree_is_the_real_one() -> None:
    assert _documented() == dict(_defined())


def test_every_error_is_of_exactly_one_class() -> None:
    for name, _ in _defined():
        error = getattr(errors, name)
        assert sum(issubclass(error, one) for one in CLASSES) == 1, name


@pytest.mark.parametrize("package", ["shared", "streams", "collectors"])
def test_an_error_defined_elsewhere_is_of_a_class_too(package: str) -> None:
    """An exception that is raised between modules says by its class what happens next."""
    homeless = [
        f"{path.relative_to(PRODUCT)}: {node.name}"
        for path in (PRODUCT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and {base.id for base in node.bases if isinstance(base, ast.Name)} & {"Exception", "BaseException"}
        and node.name != "FloodgateError"
    ]
    assert homeless == []


def test_an_error_says_its_reason_and_its_detail() -> None:
    assert str(NotDurable(PublishFailure.STREAM_FULL, "no room")) == "stream_full: no room"
    assert str(Poison(DeadLetterReason.DATA_ERROR, "not a date")) == "data_error: not a date"
    assert Poison(DeadLetterReason.DATA_ERROR, "not a date").detail == "not a date"
