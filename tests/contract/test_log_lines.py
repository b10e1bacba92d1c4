"""Every line that a program of ours can log: its name is a constant, is in the operators' table, and says nothing
of a person.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "collectors", "streams", "shared", "loadtest", "deploy")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
OF_A_REQUEST = ("gateway/handlers.py", "gateway/problems.py")
OF_A_PERSON = {"body", "data", "event_body", "user", "user_id", "username", "user_name", "age", "city", "country"}


@dataclass(frozen=True)
class Line:
    """A call of a logger."""

    where: str
    event: ast.expr
    fields: frozenset[str]

    @property
    def name(self) -> str:
        assert isinstance(self.event, ast.Constant), f"{self.where}: the event's name is not constant"
        return str(self.event.value)


def log_lines() -> Iterator[Line]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_logger(node.func):
                    at = 1 if node.func.attr == "log" else 0
                    fields = frozenset(keyword.arg or "**" for keyword in node.keywords)
                    yield Line(f"{path.relative_to(ROOT)}:{node.lineno}", node.args[at], fields)


def _is_logger(called: ast.Attribute) -> bool:
    owner = called.value.attr if isinstance(called.value, ast.Attribute) else getattr(called.value, "id", "")
    return called.attr in LEVELS and owner.strip("_") in {"log", "logger", "logging"}


LINES = list(log_lines())


def test_names_are_constant_words() -> None:
    assert len(LINES) > 20
    for line in LINES:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", line.name), f"{line.where}: {line.name!r}"


def test_a_method_of_a_logger_is_only_ever_called_where_it_is_named() -> None:
    """Bound to another name, a call would be one that these tests do not see."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and _is_logger(node):
                    assert id(node) in called, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_the_table_in_operations_has_each_name_once_and_no_other() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.partition("## Log lines\n")[2].partition("\n## ")[0]
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted({line.name for line in LINES})


def test_every_line_of_a_request_has_its_correlation_id() -> None:
    found = [line for line in LINES if line.where.startswith(OF_A_REQUEST)]
    assert len(found) >= 4
    for line in found:
        assert "correlation_id" in line.fields, line.where


def test_no_field_is_named_for_what_is_of_a_person_and_none_is_hidden_in_a_dict() -> None:
    for line in LINES:
        assert not line.fields & (OF_A_PERSON | {"**"}), line.where
