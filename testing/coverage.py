"""Which lines of the core have run, in whichever process: in PID 1 and in its children up to exec, killed or not.

Coverage.py cannot look into them: PID 1 is an isolated interpreter that ends with _exit(2), execve(2) or SIGKILL. So
tests run a copy of the core in which each statement first notes its line in a file that all processes map into their
memory: that takes neither a descriptor nor a system call. Coverage.py makes the table.
"""

import ast
import builtins
import importlib.machinery
import io
import mmap
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from testing import ROOT
from testing.code_lines import core

NAME = "LINES_RUN"
"""The name of the mapping among the built-in names of each process."""

ENTRIES = ("launcher.py", "__init__.py")
"""One of these modules runs before all others, and maps the file."""

MARK = "# not reached: REASON"
"""What stands beside a line that no test reaches. It holds for all that is indented below that line, too."""

MAP = """
import builtins, posix
if not hasattr(builtins, {name!r}):
    try:
        file = posix.open({path!r}, posix.O_RDWR | posix.O_CLOEXEC)
        second = posix.dup(file)  # the number of the descriptor that the mapping will have, and does not need
        posix.close(second)
        try:
            import mmap
            builtins.{name} = mmap.mmap(file, 0)
            if {closes}:
                posix.close(second)
        finally:
            posix.close(file)
    except Exception:  # it cannot be reached from here, or there is no room: this process is not measured
        builtins.{name} = bytearray({size})
del builtins, posix
"""


@cache
def offsets() -> dict[Path, int]:
    """Where the lines of each module begin in the file; for ``ROOT``, where the last one ends."""
    found, end = {}, 0
    for path in sorted(core()):
        found[path] = end
        end += path.read_bytes().count(b"\n") + 2
    return {**found, ROOT: end}


def make_file(path: Path) -> None:
    """Make the file; no line has run yet."""
    path.write_bytes(bytes(offsets()[ROOT]))
    path.chmod(0o666)  # other users run the core, too


def noting(path: Path) -> ast.Module:
    """A module of the core in which each statement first notes its line."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                setattr(node, field, list(_noting(block, offsets()[path])))
        if isinstance(node, ast.ExceptHandler):
            node.body.insert(0, _note(node, offsets()[path] + node.lineno))
    return tree


def _noting(block: Iterable[ast.stmt], offset: int) -> Iterator[ast.stmt]:
    for number, statement in enumerate(block):
        if number or not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):  # a docstring
            for node in (*getattr(statement, "decorator_list", ()), statement):
                yield _note(statement, offset + node.lineno)
        yield statement


def _note(before: ast.AST, index: int) -> ast.stmt:
    note = ast.parse(f"{NAME}[{index}] = 1").body[0]
    for node in ast.walk(note):
        ast.copy_location(node, before)
    return note


def source_of(path: Path, file: Path | None) -> str:
    """The source of a module of the core; if there is a `file`, the module notes in it which lines run."""
    if not file:
        return path.read_text()
    tree = noting(path)
    if path.name in ENTRIES and path.parent == ROOT / "pyinit":
        # A program that uses the API ends in an orderly way, and the mapping then closes its descriptor.
        closes = path.name == "launcher.py"
        begin = MAP.format(name=NAME, path=str(file), size=offsets()[ROOT], closes=closes)
        tree.body[1:1] = ast.parse(begin).body  # after the docstring
    return ast.unparse(tree) + "\n"


def copy_package(target: Path, file: Path | None) -> None:
    """Copy the sources of pyinit to `target`; if `file` is given, the copied core notes in it which lines run."""
    ignored = shutil.ignore_patterns("__pycache__", "compiled.*.zip", ".compiled.*")
    shutil.copytree(ROOT / "pyinit", target, ignore=ignored)
    for path in core():
        (target / path.relative_to(ROOT / "pyinit")).write_text(source_of(path, file))


class Finder(importlib.machinery.PathFinder):
    """Imports the core into this process so that it notes which lines run."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system (`importlib.abc.MetaPathFinder`)."""
        if name.partition(".")[0] != "pyinit":
            return None
        spec = super().find_spec(name, path, target)
        if not spec or not spec.origin or Path(spec.origin) not in offsets():
            return None
        locations = spec.submodule_search_locations
        return spec_from_file_location(
            name, spec.origin, loader=Loader(name, spec.origin), submodule_search_locations=locations
        )


class Loader(importlib.machinery.SourceFileLoader):
    """See `Finder`."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the module."""
        return compile(noting(Path(self.path)), self.path, "exec", dont_inherit=True)


def measure_this_process(file: Path) -> None:
    """Note the lines that run in those modules of the core that are imported from now on."""
    with file.open("r+b") as opened:
        setattr(builtins, NAME, mmap.mmap(opened.fileno(), 0))
    sys.meta_path.insert(0, Finder)


def table(file: Path) -> tuple[str, str]:
    """A table of the core's modules, with the lines that have not run; and those of them without a reason, as text."""
    import coverage  # which needs sqlite3, and not every interpreter has that

    content = file.read_bytes()
    measured = coverage.Coverage(data_file=None, config_file=False)
    measured.clear_exclude()
    measured.exclude("if TYPE_CHECKING:")
    ends = [*offsets().values()][1:]
    for (path, first), end in zip([*offsets().items()][:-1], ends, strict=True):
        lines = [index - first for index in range(first, end) if content[index]]
        measured.get_data().add_lines({str(path): lines})
        measured.get_data().touch_file(str(path))
    text = io.StringIO()
    measured.report(morfs=[str(path) for path in sorted(core())], show_missing=True, file=text)
    mark = MARK.replace("REASON", r"\w")
    measured.exclude(mark)
    measured.exclude(rf"^\s*{mark}.*\n.*")
    missing = {path.relative_to(ROOT): measured.analysis2(str(path))[4] for path in sorted(core())}
    return text.getvalue(), "".join(f"{path}: {lines}\n" for path, lines in missing.items() if lines)
