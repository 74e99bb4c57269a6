"""The compiled file: an archive of the package, compiled for the interpreter that runs this.

It is a zip file with two members: the core, stored uncompressed, and what PID 1 does without, compressed. The comment,
which is the very end of the file, says where each module of the core is: the version of pyinit, CPython's magic number,
and then, marshalled, an index. The launcher reads that and `loader`, and `loader.Finder` each other module with one
pread(2). A file that was cut short has no index, and is not used. Where the sources are not there, as in our image,
pyinitctl and the Python API are imported from this file as well (`packed`).
"""

import ast
import importlib.util
import io
import marshal
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import CodeType

import pyinit
from pyinit import packed
from pyinit.loader import OUTSIDE

PACKAGE = Path(pyinit.__file__).resolve().parent

NAME = f"compiled.{sys.implementation.cache_tag}.zip"
"""What the file is called: each Python in an image has its own."""

VERSION = f"pyinit {pyinit.__version__}"
"""How a launcher knows a file that is not its own."""

_LOCAL_HEADER = 30
"""Bytes of a member's local header before its name."""


def archive(modules: Mapping[Path, bytes], preamble: bytes = b"", others: Mapping[str, bytes] | None = None) -> bytes:
    """An archive of these `modules` and of other files. The preamble stands before it."""
    file = io.BytesIO()
    file.write(preamble)
    core, index, rest = b"", {}, {}
    with zipfile.ZipFile(file, "w", compresslevel=9) as archive:
        for name, content in (others or {}).items():
            archive.writestr(zipfile.ZipInfo(name), content)
        member = zipfile.ZipInfo("pyinit/core")  # without a date: the same file each time
        first = file.tell() + _LOCAL_HEADER + len(member.filename)
        for path, code in modules.items():
            name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            is_package = path.name == "__init__.py"
            if is_core(path):
                index[name] = (first + len(core), len(code), is_package)
                core += code
            else:
                rest[name] = (marshal.loads(code), is_package)
        archive.writestr(member, core)
        if rest:
            archive.writestr(zipfile.ZipInfo("pyinit/rest"), marshal.dumps(rest), zipfile.ZIP_DEFLATED)
        archive.comment = f"{VERSION}\n".encode() + importlib.util.MAGIC_NUMBER + marshal.dumps(index)
    return file.getvalue()


def modules() -> dict[Path, bytes]:
    """The code of each module, marshalled, by the path of its source in the folder that the package is in.

    Compiled from the sources. Where they are not there, as in our image, that of the core, from the file itself.
    """
    if not has_sources():
        core = packed.core_of((PACKAGE / NAME).read_bytes())
        parts = {name: [*name.split("."), *["__init__"] * is_package] for name, (_, is_package) in core.items()}
        return {Path(*parts[name]).with_suffix(".py"): code for name, (code, _) in core.items()}
    are_run_as_sources = {PACKAGE / name for name in ("__init__.py", "launcher.py", "packed.py")}
    paths = sorted(path.relative_to(PACKAGE.parent) for path in {*PACKAGE.rglob("*.py")} - are_run_as_sources)
    return {path: marshal.dumps(compiled(path)) for path in paths}


def has_sources() -> bool:
    """Whether the sources are there: our image has none."""
    return (PACKAGE / "main.py").exists()


def is_core(path: Path) -> bool:
    """Whether PID 1 may import the module."""
    return path.parts[1].removesuffix(".py") not in OUTSIDE


class WithoutTypes(ast.NodeTransformer):
    """Takes out what only type checkers read: annotations, ``TYPE_CHECKING`` and what depends on it.

    The annotations of a class with a decorator may be read (`dataclasses`), and stay.
    """

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """The imports for type checkers, and what there is in place of them."""
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """``TYPE_CHECKING = False``."""
        return None if ast.unparse(node.targets[0]) == "TYPE_CHECKING" else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """A class."""
        stays = ast.AnnAssign if node.decorator_list else ()
        node.body = [one if isinstance(one, stays) else self.visit(one) for one in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """A variable."""
        return ast.fix_missing_locations(ast.Assign([node.target], node.value, lineno=0) if node.value else ast.Pass())

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """A parameter."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function's result."""
        node.returns = None
        return self.generic_visit(node)


def compiled(path: Path) -> CodeType:
    """The code of a module, without what only people and type checkers read: a sixth of what our image would add."""
    tree = WithoutTypes().visit(ast.parse((PACKAGE.parent / path).read_bytes()))
    return without_lines(compile(tree, str(path), "exec", optimize=2, dont_inherit=True))


def without_lines(code: CodeType) -> CodeType:
    """The code and what is nested in it, with a table of locations that says "none" throughout, and short names only.

    An entry of the table stands for eight code units at most (CPython's ``Objects/locations.md``). With one too many or
    too few, whatever walks the table would break: with CPython 3.11 each tracer.
    """
    units = len(code.co_code) // 2
    last = units % 8
    table = b"\xff" * (units // 8) + (bytes([0xF8 | (last - 1)]) if last else b"")
    nested = [without_lines(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    return code.replace(co_consts=tuple(nested), co_linetable=table, co_qualname=code.co_name)
