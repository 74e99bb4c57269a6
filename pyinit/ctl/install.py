"""``pyinitctl install``: write the launcher script for this interpreter."""

import argparse
import compileall
import errno
import io
import os
import py_compile
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipapp
from pathlib import Path

import pyinit
from pyinit.ctl import arguments
from pyinit.ctl.commands import ISOLATED
from pyinit.reporting.log import printable

PACKAGE = Path(pyinit.__file__).resolve().parent

CTL = '''"""Start pyinitctl."""

import sys

sys.path.insert(0, FOLDER)
import pyinit

sys.path.append(sys.path.pop(0))  # what else lies in that folder is not to be taken for the standard library
pyinit.__path__.append(FOLDER + "/ctl.zip")  # where our image has it
from pyinit.ctl.__main__ import main

main()
'''

LONGEST = 127
"""Bytes of a ``#!`` line that every kernel reads (execve(2)); Linux 5.1 and later read 255."""


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "install",
        run,
        "write the launcher script for this interpreter",
        "Write the launcher script for this interpreter, and compile pyinit ahead so that it starts fast.",
        "python3 -m pyinit.ctl install /usr/local/bin",
        "0; 1 if that failed",
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        help="the script to write, that of pyinitctl if it is called so; in a folder: both, pyinit and pyinitctl",
    )
    parser.add_argument(
        "--single-file",
        action="store_true",
        help="write a pyinit that needs no other file: for dockerd --init-path, which mounts one into each container",
    )


def run(chosen: argparse.Namespace) -> int:
    """Write what was asked for and say what was written; 1 with a line on stderr if that fails."""
    target = path = Path(chosen.path)
    written: list[Path] = []
    complaint = ""
    try:
        if not chosen.path or (chosen.path.endswith("/") and not path.is_dir()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        for target, content in (_single_file(path) if chosen.single_file else _launchers(path)).items():
            _write(target, content)
            written.append(target)
    except OSError as error:
        complaint = f"cannot write {target if chosen.path else repr(chosen.path)}: {error.strerror}"
    except ValueError as error:
        complaint = f"cannot install: {error}"
    what_it_runs = "" if chosen.single_file else f", to run {PACKAGE}"
    for target in written:
        print(printable(f"wrote {target} for {sys.executable}{what_it_runs}"), flush=True)
    if complaint:
        print(f"pyinitctl: {printable(complaint)}", file=sys.stderr)
        return 1
    if not chosen.single_file:
        _compile_ahead()
    return 0


def _launchers(path: Path) -> dict[Path, bytes]:
    """The scripts that start pyinit where it is."""
    line = _first_line()
    scripts = {path: _ctl_script() if path.name == "pyinitctl" else _init_script()}
    if path.is_dir():
        scripts = {path / "pyinit": _init_script(), path / "pyinitctl": _ctl_script()}
    return {target: f"{line}\n{script}".encode() for target, script in scripts.items()}


def _single_file(path: Path) -> dict[Path, bytes]:
    """An archive that the interpreter can run: the core, as source for any version, compiled for this one."""
    line = _first_line()
    with tempfile.TemporaryDirectory() as top:
        leave_out = shutil.ignore_patterns("__pycache__", "ctl", "__main__.py", "launcher.py", "py.typed")
        shutil.copytree(PACKAGE, Path(top, "pyinit"), ignore=leave_out)
        Path(top, "__main__.py").write_text(_launcher('__file__.rpartition("/")[0]'), "utf-8")
        unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(top, quiet=2, optimize=0, legacy=True, stripdir=top, invalidation_mode=unchecked)
        archive = io.BytesIO()
        zipapp.create_archive(top, archive, line.removeprefix("#!"))
    return {path / "pyinit" if path.is_dir() else path: archive.getvalue()}


def _compile_ahead() -> None:
    """Compile pyinit where an isolated interpreter looks, as PID 1 will, whatever a variable tells this one.

    A launcher works without, which is why that comes last, and is no failure where only root may write.
    """
    if not (PACKAGE / "main.py").exists():  # our image has it compiled, in the place of the sources
        return
    program = PACKAGE / "ctl" / "compile_ahead.py"
    command = [sys.executable, "-ISX", "no_debug_ranges", str(program), str(PACKAGE)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        error = done.stderr.strip().rpartition("\n")[2]
        why = re.sub(r"^\w+: \[Errno \d+\] ([^:]+): .*", r"\1", error) or f"status {done.returncode}"
        warning = f"could not compile {PACKAGE} ahead: {why}: each start takes longer"
        print(f"pyinitctl: warning: {printable(warning)}", file=sys.stderr)
    else:
        version = ".".join(map(str, sys.version_info[:2]))
        print(printable(f"compiled {PACKAGE} ahead for Python {version}"))


def _init_script() -> str:
    return _launcher(repr(str(PACKAGE.parent)))


def _launcher(folder: str) -> str:
    """The source of the launcher, where the package is in what the expression `folder` gives."""
    source = (PACKAGE / "launcher.py").read_text("utf-8")
    return re.sub("^FOLDER = .*$", lambda _: f"FOLDER = {folder}", source, flags=re.MULTILINE)


def _ctl_script() -> str:
    return CTL.replace("FOLDER", repr(str(PACKAGE.parent)))


def _first_line() -> str:
    line = f"#!{sys.executable} {ISOLATED}"
    if not sys.executable or set(sys.executable) & set(" \t\n") or not sys.executable.isprintable():
        raise ValueError(f"the path of the interpreter ({sys.executable!r}) cannot stand in a #! line")
    if len(os.fsencode(line)) > LONGEST:
        raise ValueError(f"the path of the interpreter is too long for a #! line: {sys.executable}")
    return line


def _write(target: Path, content: bytes) -> None:
    """Replace `target` in one step: a container may be starting from it just now."""
    if target.exists() and not target.is_file():
        raise ValueError(f"{target} exists and is no regular file")
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        try:
            file.write(content)
            os.fchmod(file.fileno(), stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
            os.rename(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
