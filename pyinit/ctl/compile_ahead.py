"""Compile a folder of modules for PID 1: ``python -X no_debug_ranges compile_ahead.py FOLDER [--sourceless]``.

Without docstrings, annotations, line numbers and (that is what the option of the interpreter is for) the columns of
each expression: PID 1 would load all of them at each start and keep them for good, and it prints no traceback. A
program of its own, since the option is for a whole interpreter.
"""

import ast
import importlib.util
import marshal
import shutil
import struct
import sys
from pathlib import Path
from types import CodeType

SCRIPTS = ("launcher.py", "compile_ahead.py")
"""What is run, and never imported."""

DOCUMENTED = ("__init__.py", "api.py")
"""What people look up with ``help``: compiled whole, unless in the place of its source."""


class WithoutAnnotations(ast.NodeTransformer):
    """Takes out what only a type checker reads."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """A parameter."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function's result."""
        node.returns = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """A class: one that is decorated or derived may read what is annotated in it (`dataclasses`)."""
        reads = node.decorator_list or node.bases
        node.body = [one if reads and isinstance(one, ast.AnnAssign) else self.visit(one) for one in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """A variable."""
        plain = ast.Assign([node.target], node.value) if node.value else ast.Pass()
        return ast.copy_location(plain, node)


def without_lines(code: CodeType) -> CodeType:
    """The code and what is nested in it, with a table of locations that says "none" throughout.

    An entry of the table stands for eight code units at most (CPython's ``Objects/locations.md``); one that is
    missing would break what walks it.
    """
    units = len(code.co_code) // 2
    last = units % 8
    table = b"\xff" * (units // 8) + (bytes([0xF8 | (last - 1)]) if last else b"")
    nested = [without_lines(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    return code.replace(co_consts=tuple(nested), co_linetable=table)


def compiled(source: Path, is_whole: bool = False) -> bytes:
    """What the compiled file of a module holds: the header (PEP 552), with the time of the source, and the code."""
    if is_whole:
        code = compile(source.read_bytes(), str(source), "exec", optimize=0, dont_inherit=True)
    else:
        tree = ast.fix_missing_locations(WithoutAnnotations().visit(ast.parse(source.read_bytes())))
        code = without_lines(compile(tree, str(source), "exec", optimize=2, dont_inherit=True))
    found = source.stat()
    header = importlib.util.MAGIC_NUMBER + struct.pack("<3I", 0, int(found.st_mtime) & 0xFFFFFFFF, found.st_size)
    return header + marshal.dumps(code)


def main(folder: Path, sourceless: bool) -> None:
    """Compile every module, as what the interpreter loads by default; raises if one cannot be.

    `sourceless`: in the place of its source, for an image that has the sources in another form.
    """
    for source in [path for path in folder.rglob("*.py") if path.name not in SCRIPTS]:
        target = source.with_suffix(".pyc") if sourceless else Path(importlib.util.cache_from_source(str(source)))
        target.parent.mkdir(exist_ok=True)
        beside = target.with_suffix(".new")
        beside.write_bytes(compiled(source, source.name in DOCUMENTED and not sourceless))
        beside.replace(target)  # in one step: a container may be starting just now
        if sourceless:
            source.unlink()
            shutil.rmtree(source.parent / "__pycache__", ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--sourceless" in sys.argv)
