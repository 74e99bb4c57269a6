"""docs/errors.md has the words of each message with which the core and the Python API warn or end.

Those of a program that cannot be started are in `tests.namespace.test_cannot_start`.
"""

import ast
from collections.abc import Iterator

import pytest

from testing import ROOT
from testing.code_lines import OUTSIDE_CORE

PAGE = (ROOT / "docs/errors.md").read_text()

SAYING = {"UsageError", "CannotBecomeUser", "RuntimeError", "TypeError", "error", "warning", "warn_once"}
"""What is called with a message that people see: exceptions, and methods of the log."""

CONVERTING = ("options/values.py", "workload/user.py", "kernel/signals.py")
"""Where the text of a ValueError is what is wrong with an option."""


def pieces(node: ast.expr) -> Iterator[str]:
    """The parts of a message that do not vary."""
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def messages() -> Iterator[tuple[str, str]]:
    """Where a message is, and the longest part of it that does not vary."""
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
    """By the words in it that do not vary."""
    assert text in PAGE, place
