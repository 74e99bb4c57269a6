"""What PID 1 loads: compiled without what only people read."""

import marshal
import traceback
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from pyinit.ctl.compile_ahead import compiled, without_lines

SOURCE = """
def outer(x):
    def inner(y):
        for n in range(y):
            try:
                {}[n]
            except KeyError:
                pass
        raise ValueError(y)
    return inner(x)
"""


def nested(code: CodeType) -> list[CodeType]:
    """The code and all that is in it."""
    return [code, *(one for const in code.co_consts if isinstance(const, CodeType) for one in nested(const))]


def test_code_without_line_numbers_runs_and_can_be_walked() -> None:
    """A traceback has no line then, and nothing else is missing; every instruction has its entry in the table."""
    space: dict[str, object] = {}
    code = without_lines(compile(SOURCE, "source", "exec"))
    exec(code, space)
    outer = space["outer"]
    assert callable(outer)
    with pytest.raises(ValueError, match="3") as caught:
        outer(3)
    told = "".join(traceback.format_exception(caught.value))
    assert 'File "source", line None, in inner' in told and told.endswith("ValueError: 3\n")
    for one in nested(code):
        positions = list(one.co_positions())
        assert len(positions) == len(one.co_code) // 2 and {line for line, *_ in positions} == {None}


def test_a_dataclass_keeps_its_fields_and_nothing_else_its_annotations(tmp_path: Path) -> None:
    """What only a type checker reads is not there; what a decorator reads is."""
    source = tmp_path / "module.py"
    source.write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n    def f(self, y: int) -> int: ...\n"
        "class Plain:\n    z: int = 1\nw: int = 2\n"
    )
    space: dict[str, Any] = {"__name__": "module"}
    exec(marshal.loads(compiled(source)[16:]), space)
    assert (space["Point"](x=3).x, space["Plain"].z, space["w"]) == (3, 1, 2)
    assert space["Point"].f.__annotations__ == {} and space["Plain"].__annotations__ == {}
