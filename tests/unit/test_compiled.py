"""The compiled file, and the launcher that starts with or without it: a test package, and real processes."""

import importlib.util
import marshal
import os
import shutil
import subprocess
import sys
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest

from pyinit.ctl import compiled, install
from testing import ROOT
from testing.coverage import source_of
from testing.waiting import PATIENCE

INTERPRETER = os.path.realpath(sys.executable)

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

MODULES = {
    "__init__.py": "raise SystemExit('the package has run')",
    "__main__.py": "raise SystemExit('__main__ has run')",
    "api.py": "raise SystemExit('api has run')",
    "ctl/__init__.py": "raise SystemExit('ctl has run')",
    "kernel/__init__.py": "",
    "kernel/signals.py": "def block():\n    return {1}",
    "late.py": "from .kernel import deep\nvalue = deep.value + 1",
    "kernel/deep.py": '"""A docstring."""\nvalue = 41',
    "main.py": """
import posix, sys
def main(words, mask, options):
    loaded = "pyinit.late" in sys.modules
    for name in words[2:]:  # what the workload would delete
        posix.unlink(name)
    from . import late
    files = [posix.readlink(f"/proc/self/fd/{n}").rpartition("/")[2] for n in range(3, 6)
             if posix.access(f"/proc/self/fd/{n}", posix.F_OK)]
    origin = "compiled" if type(late.__loader__).__name__ == "Finder" else "sources"
    posix.write(1, f"{origin} {late.value} {mask} {loaded} {files} {late.deep.__doc__}\\n".encode())
    posix._exit(7)
""",
}
"""A package with the modules that the launcher needs, a sub-package, and a module that is not imported at the start."""


class MadeUp(NamedTuple):
    """The installed test package."""

    package: Path
    file: Path
    launcher: Path
    """The launcher that was written for the package."""

    def run(self, *words: str | Path, launcher: Path | None = None, before: str = "") -> tuple[int, str, str]:
        """Start the package; return status, stdout and stderr. A shell runs `before` first."""
        command = [INTERPRETER, "-ISBXutf8", str(launcher or self.launcher), "first", *map(str, words)]
        shell = ["sh", "-c", f'{before} exec "$@"', "sh"]
        done = subprocess.run([*shell, *command], capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr

    def delete_sources(self) -> None:
        """Delete everything except the compiled file."""
        content = self.file.read_bytes() if self.file.is_file() else None
        shutil.rmtree(self.package)
        self.package.mkdir()
        if content is not None:
            self.file.write_bytes(content)


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines_run: Path | None) -> MadeUp:
    """The test package, installed by the usual functions."""
    package = tmp_path / "lib" / "pyinit"
    for name, source in MODULES.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(source)
    for name in ("launcher.py", "loader.py"):
        (package / name).write_text(source_of(ROOT / "pyinit" / name, lines_run))
    monkeypatch.setattr(compiled, "PACKAGE", package)
    monkeypatch.setattr(install, "PACKAGE", package)
    file = package / compiled.NAME
    file.write_bytes(compiled.archive(compiled.modules()))
    launcher = tmp_path / "init"
    launcher.write_text(install._init_script())
    return MadeUp(package, file, launcher)


COMPILED = f"compiled 42 {{1}} False ['{compiled.NAME}'] None\n"
SOURCES = "sources 42 {1} True [] A docstring.\n"


def test_the_core_is_imported_from_the_compiled_file_alone(made_up: MadeUp) -> None:
    """Including sub-packages. Each module is loaded when it is imported, and has no docstring."""
    made_up.delete_sources()
    assert made_up.run() == (7, COMPILED, "")


def test_a_module_can_be_imported_after_the_compiled_file_was_deleted(made_up: MadeUp) -> None:
    """The file stays open."""
    made_up.delete_sources()
    status, out, errors = made_up.run(made_up.file)
    assert (status, out.replace(" (deleted)", ""), errors) == (7, COMPILED, "")
    assert not made_up.file.exists()


@pytest.mark.parametrize("closed", ["0<&-", "2>&-", "0<&- 2>&-"])
def test_the_compiled_file_does_not_become_a_standard_stream(made_up: MadeUp, closed: str) -> None:
    """A closed standard stream stays closed."""
    (made_up.package / "main.py").write_text(
        "import posix\n"
        "def main(words, mask, options):\n"
        "    has = [posix.access(f'/proc/self/fd/{n}', posix.F_OK) for n in range(3)]\n"
        "    others = [n for n in range(3, 9) if posix.access(f'/proc/self/fd/{n}', posix.F_OK)]\n"
        "    posix.write(1, f'{has} {[n for n in others if posix.get_inheritable(n)]}'.encode())\n"
        "    posix._exit(0)\n"
    )
    made_up.file.write_bytes(compiled.archive(compiled.modules()))
    made_up.delete_sources()
    has = [f"{number}" not in closed.replace("&", "") for number in range(3)]
    assert made_up.run(before=f"exec {closed};")[:2] == (0, f"{has} []")


def cut(size: int) -> Callable[[Path], object]:
    """A function that truncates a file to `size` bytes; a negative size counts from the end."""
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def with_other(old: bytes, new: bytes) -> Callable[[Path], object]:
    """A function that replaces bytes in a file by as many others."""

    def replace(path: Path) -> None:
        content = path.read_bytes()
        assert old in content and len(old) == len(new)
        path.write_bytes(content.replace(old, new))

    return replace


def scramble_index(path: Path) -> None:
    """Overwrite the index with zeros."""
    content = path.read_bytes()
    made_for = f"{compiled.VERSION}\n".encode() + importlib.util.MAGIC_NUMBER
    head, _, rest = content.partition(made_for)
    path.write_bytes(head + made_for + bytes(len(rest)))


def in_its_place(path: Path) -> None:
    """Replace the file by a folder."""
    path.unlink()
    path.mkdir()


UNUSABLE = {
    "not there": Path.unlink,
    "empty": cut(0),
    "cut to its first bytes": cut(100),
    "cut in the middle": lambda path: cut(path.stat().st_size // 2)(path),
    "without its last byte": cut(-1),
    "without its index": cut(-1000),
    "of another version": with_other(f"{compiled.VERSION}\n".encode(), b"pyinit 9.9.9\n"),
    "of another Python": with_other(importlib.util.MAGIC_NUMBER, b"\0\0\r\n"),
    "with a damaged index": scramble_index,
    "a folder": in_its_place,
}


@pytest.mark.parametrize("damage", UNUSABLE.values(), ids=UNUSABLE)
def test_without_a_usable_compiled_file_it_starts_from_the_sources(
    made_up: MadeUp, damage: Callable[[Path], object]
) -> None:
    """It prints no message. It imports the whole core before `main`, and nothing else."""
    damage(made_up.file)
    late = made_up.package / "late.py"
    assert made_up.run(late) == (7, SOURCES, "")


@pytest.mark.parametrize("damage", UNUSABLE.values(), ids=UNUSABLE)
def test_without_compiled_file_and_sources_it_fails_with_one_line(
    made_up: MadeUp, damage: Callable[[Path], object]
) -> None:
    """The status is that of a failure of pyinit itself."""
    damage(made_up.file)
    reason = "cut short, or for another Python or pyinit"
    if damage is Path.unlink:
        reason = "No such file or directory"
    if damage is in_its_place:
        reason = "Is a directory"
    made_up.delete_sources()
    if damage is in_its_place:
        made_up.file.mkdir()
    line = f"pyinit: cannot start: No module named 'pyinit.loader' ({made_up.file}: {reason})\n"
    assert made_up.run() == (125, "", line)


@pytest.mark.parametrize("module", ["kernel/signals", "main"])
def test_a_damaged_module_is_reported_in_one_line(made_up: MadeUp, module: str) -> None:
    """The status is 125, and there is no traceback."""
    content = bytearray(made_up.file.read_bytes())
    offset = content.index(compiled.modules()[Path(f"pyinit/{module}.py")])
    content[offset : offset + 50] = bytes(50)
    made_up.file.write_bytes(content)
    status, out, errors = made_up.run()
    assert (status, out) == (125, ""), errors
    assert errors.startswith("pyinit: cannot start: ") and errors.count("\n") == 1


def test_the_launcher_in_the_package_uses_the_compiled_file_too(made_up: MadeUp) -> None:
    """``python -m pyinit`` and the Python API start this launcher."""
    assert made_up.run(launcher=made_up.package / "launcher.py") == (7, COMPILED, "")


@pytest.mark.parametrize("name", ["main.py", "kernel/deep.py"])
def test_sources_newer_than_the_compiled_file_are_used(made_up: MadeUp, name: str) -> None:
    """By the launcher in the package, but not by an installed one."""
    os.utime(made_up.package / name, ns=(0, made_up.file.stat().st_mtime_ns + 10**9))
    assert made_up.run(launcher=made_up.package / "launcher.py") == (7, SOURCES, "")
    assert made_up.run() == (7, COMPILED, "")


def test_a_module_that_lacks_an_extension_module_does_not_prevent_a_start_from_the_sources(made_up: MadeUp) -> None:
    """It fails only where it is needed. A missing module of pyinit does prevent the start."""
    made_up.file.unlink()
    (made_up.package / "terminal.py").write_text("import no_such_extension")
    assert made_up.run() == (7, SOURCES, "")
    (made_up.package / "terminal.py").write_text("from pyinit import no_such_module")
    status, out, errors = made_up.run()
    assert (status, out, errors.count("\n")) == (125, "", 1) and "no_such_module" in errors


def test_a_single_file_can_be_made_of_the_compiled_file(made_up: MadeUp, tmp_path: Path) -> None:
    """This is needed in our image, which has no sources."""
    launcher = (made_up.package / "launcher.py").read_text()
    made_up.delete_sources()
    (made_up.package / "launcher.py").write_text(launcher)
    [(path, content)] = install._single_file(tmp_path / "one").items()
    path.write_bytes(content)
    assert made_up.run(launcher=path) == (7, COMPILED.replace(compiled.NAME, "one"), "")


@pytest.mark.parametrize("other", [False, True], ids=["for this Python", "for another"])
def test_a_single_file_needs_nothing_else(
    made_up: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    """Another Python loads the sources that are in the file, all of them at the start."""
    if other:
        monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"\0\0\r\n")
    [(path, content)] = install._single_file(tmp_path / "one").items()
    path.write_bytes(content)
    shutil.rmtree(made_up.package)
    expected = SOURCES if other else COMPILED.replace(compiled.NAME, "one")
    status, out, errors = made_up.run(path, launcher=path)
    assert (status, out.replace(" (deleted)", ""), errors) == (7, expected, "")


def test_the_compiled_file_is_a_zip_file(made_up: MadeUp) -> None:
    """The core is one member, the rest another. Building it again gives the same bytes."""
    with zipfile.ZipFile(made_up.file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["pyinit/core", "pyinit/rest"]
        rest = {"__main__.py": "pyinit.__main__", "api.py": "pyinit.api", "ctl/__init__.py": "pyinit.ctl"}
        assert set(marshal.loads(archive.read("pyinit/rest"))) == set(rest.values())
    modules = compiled.modules()
    core = {str(path): code for path, code in modules.items() if compiled.is_core(path)}
    assert core.keys() == {f"pyinit/{name}" for name in [*MODULES, "loader.py"] if name not in {*rest, "__init__.py"}}
    assert made_up.file.read_bytes() == compiled.archive(modules)
    made_up.delete_sources()
    assert {str(path): code for path, code in compiled.modules().items()} == core


def nested(code: CodeType) -> list[CodeType]:
    """The code object, and all code objects in it."""
    return [code, *(one for const in code.co_consts if isinstance(const, CodeType) for one in nested(const))]


def test_code_without_line_numbers_runs_and_can_be_walked() -> None:
    """A traceback then has no line number, but is otherwise complete. Every instruction has an entry in the table."""
    space: dict[str, object] = {}
    code = compiled.without_lines(compile(SOURCE, "source", "exec"))
    exec(code, space)
    outer = space["outer"]
    assert callable(outer)
    with pytest.raises(ValueError, match="3") as caught:
        outer(3)
    text = "".join(traceback.format_exception(caught.value))
    assert 'File "source", line None, in inner' in text and text.endswith("ValueError: 3\n")
    for one in nested(code):
        positions = list(one.co_positions())
        assert len(positions) == len(one.co_code) // 2 and {line for line, *_ in positions} == {None}


def test_annotations_of_functions_are_removed_and_those_of_dataclasses_kept(made_up: MadeUp) -> None:
    """Only type checkers read the former; the decorator reads the latter."""
    (made_up.package / "module.py").write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n    def f(self, y: int) -> int: ...\n"
    )
    space: dict[str, Any] = {"__name__": "module"}
    exec(compiled.compiled(Path("pyinit", "module.py")), space)
    assert (space["Point"](x=3).x, space["Point"].f.__annotations__) == (3, {})
