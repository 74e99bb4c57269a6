"""docs/errors.md contains the text of every error and warning of the core and the Python API.

`tests.namespace.test_cannot_start` checks the messages for a program that cannot be started.
"""

import ast
from collections.abc import Iterator

import pytest

from testing import ROOT
from testing.code_lines import OUTSIDE_CORE

PAGE = (ROOT / "docs/errors.md").read_text()

SAYING = {"UsageError", "CannotBecomeUser", "RuntimeError", "TypeError", "error", "warning", "warn_once"}
"""Exceptions and log methods that take a message for people."""

CONVERTING = ("options/values.py", "workload/user.py", "kernel/signals.py")
"""Modules where the text of a ValueError says what is wrong with an option."""


def pieces(node: ast.expr) -> Iterator[str]:
    """The constant parts of a message."""
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def messages() -> Iterator[tuple[str, str]]:
    """The place of each message, and its longest constant part."""
    package = ROOT / "pyinit"
    for path in sorted(package.rglob("*.py")):
        name = str(path.relative_to(package))
        if name.startswith(OUTSIDE_CORE) and name != "api.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called not in SAYING and not (called == "ValueError" and name in CONVERTING):
                continue
            log_call = called in ("error", "warning", "warn_once")
            for argument in node.args[1:2] if log_call else node.args[:1]:
                parts = [piece for piece in pieces(argument) if len(piece) > 6]
                if parts:
                    yield f"{name}:{node.lineno}", max(parts, key=len).strip(" :;'(")


@pytest.mark.parametrize(("place", "text"), list(messages()))
def test_every_message_can_be_searched_for(place: str, text: str) -> None:
    """The page contains its constant text."""
    assert text in PAGE, place
