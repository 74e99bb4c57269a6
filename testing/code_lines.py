"""Counts lines of code, without blank lines, comments and docstrings: `python -m testing.code_lines [PATH]...`.

Without PATH: pyinit's core, and the tree folder by folder. (pygount counts the docstring of an attribute as code.)
"""

import ast
import sys
import tokenize
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from testing import ROOT

NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}
OUTSIDE_CORE = ("ctl/", "api.py")
FOLDERS = ("pyinit", "testing", "tests", "bench", "soak", "examples", "deploy")


def lines_of_code(source: bytes) -> int:
    """How many lines of a module have code on them; a string that stands alone is a docstring."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.tokenize(BytesIO(source).readline)
    lines = {line for token in tokens if token.type not in NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    return len(lines - docstrings)


def modules(paths: Iterable[Path]) -> Iterator[Path]:
    """The modules among these files, and those in these folders."""
    for path in paths:
        yield from path.rglob("*.py") if path.is_dir() else [path]


def count(paths: Iterable[Path]) -> int:
    """The lines of code in these files and folders."""
    return sum(lines_of_code(path.read_bytes()) for path in modules(paths))


def core() -> list[Path]:
    """The modules that PID 1 is made of."""
    package = ROOT / "pyinit"
    return [path for path in modules([package]) if not str(path.relative_to(package)).startswith(OUTSIDE_CORE)]


def main(arguments: list[str]) -> None:
    """Print a line for each path, and the sum."""
    counted = {name: count([Path(name)]) for name in arguments} or {name: count([ROOT / name]) for name in FOLDERS}
    if not arguments:
        print(f"{count(core()):6,}  the core: pyinit without {', '.join(OUTSIDE_CORE)}")
    for name, number in counted.items():
        print(f"{number:6,}  {name}")
    print(f"{sum(counted.values()):6,}  in all")


if __name__ == "__main__":
    main(sys.argv[1:])
