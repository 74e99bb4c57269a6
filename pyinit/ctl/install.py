"""``pyinitctl install``: write the launcher script for this interpreter."""

import argparse
import contextlib
import errno
import os
import re
import sys
import tempfile
from pathlib import Path

from pyinit.ctl import arguments, compiled, share
from pyinit.ctl.commands import ISOLATED
from pyinit.ctl.compiled import PACKAGE
from pyinit.reporting.log import printable

CTL = '''"""Start pyinitctl."""

import sys

sys.path.insert(0, FOLDER)
import pyinit

sys.path.append(sys.path.pop(0))  # what else lies in that folder is not to be taken for the standard library
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
        "Write the launcher script for this interpreter, and the compiled file that PID 1 runs from.",
        "python3 -m pyinit.ctl install /usr/local/bin",
        "0; 1 if that failed",
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        help="the launcher to write: that of pyinitctl if it has that name, else that of pyinit; or a folder for both",
    )
    parser.add_argument(
        "--single-file",
        action="store_true",
        help="write a pyinit that needs no other file, for dockerd --init-path, or init_path of podman",
    )
    parser.add_argument(
        "--man",
        dest="share",
        action="append_const",
        const=share.MANUALS,
        default=[],
        help="write the manual pages, too: beside /usr/local/bin into /usr/local/share/man",
    )
    parser.add_argument(
        "--completions",
        dest="share",
        action="append_const",
        const=share.COMPLETIONS,
        help="write the completions for bash, zsh and fish, too: beside /usr/local/bin into /usr/local/share",
    )


def run(chosen: argparse.Namespace) -> int:
    """Write what was asked for and say what was written; 1 with a line on stderr if that fails."""
    target = path = Path(chosen.path)
    written: list[Path] = []
    complaint = ""
    try:
        if not chosen.path or (chosen.path.endswith("/") and not path.is_dir()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        launchers = _single_file(path) if chosen.single_file else _launchers(path)
        files = share.beside(path if path.is_dir() else path.parent, sum(chosen.share, ())) if chosen.share else {}
        for target, content in launchers.items():
            _write(target, content)
            written.append(target)
        for target, content in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, content, mode=0o644)
    except OSError as error:
        complaint = f"cannot write {target if chosen.path else repr(chosen.path)}: {error.strerror}"
    except ValueError as error:
        complaint = f"cannot install: {error}"
    what_it_runs = "" if chosen.single_file else f", to run {PACKAGE}"
    for target in written:
        print(printable(f"wrote {target} for {sys.executable}{what_it_runs}"), flush=True)
    if chosen.share and not complaint:
        print(printable(f"wrote {len(files)} files into {os.path.commonpath(files)}"), flush=True)
    if complaint:
        print(f"pyinitctl: {printable(complaint)}", file=sys.stderr)
        return 1
    if not chosen.single_file:
        _compile()
    return 0


def _launchers(path: Path) -> dict[Path, bytes]:
    """The scripts that start pyinit where it is."""
    line = _first_line()
    scripts = {path: _ctl_script() if path.name == "pyinitctl" else _init_script()}
    if path.is_dir():
        scripts = {path / "pyinit": _init_script(), path / "pyinitctl": _ctl_script()}
    return {target: f"{line}\n{script}".encode() for target, script in scripts.items()}


def _single_file(path: Path) -> dict[Path, bytes]:
    """An archive that the interpreter can run: the core, compiled for this one, and as source for any other."""
    modules = compiled.modules()
    core = {path: code for path, code in modules.items() if compiled.is_core(path)}
    files = {"__main__.py": launcher(FOLDER='__file__.rpartition("/")[0]', COMPILED="FOLDER").encode()}
    if compiled.has_sources():
        files |= {str(module): (PACKAGE.parent / module).read_bytes() for module in core}
    content = compiled.archive(core, f"{_first_line()}\n".encode(), files)
    return {path / "pyinit" if path.is_dir() else path: content}


def _compile() -> None:
    """Write the compiled file, which a launcher works without: no failure where only root may write."""
    if not compiled.has_sources():
        return
    target = PACKAGE / compiled.NAME
    try:
        _write(target, compiled.archive(compiled.modules()), mode=0o644)
        _record(target)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        warning = f"cannot write {target}: {why}: each start takes longer"
        print(f"pyinitctl: warning: {printable(warning)}", file=sys.stderr)
    else:
        print(printable(f"compiled {PACKAGE} into {compiled.NAME}"))


def _record(file: Path) -> None:
    """Have pip remove the file together with the package."""
    line = f"{file.relative_to(PACKAGE.parent)},,\n"
    for record in PACKAGE.parent.glob("pyinit_pid1-*.dist-info/RECORD"):
        with contextlib.suppress(OSError):  # then pip leaves the file
            if line not in record.read_text("utf-8"):
                with record.open("a", encoding="utf-8") as end:
                    end.write(line)


def _init_script() -> str:
    return launcher(FOLDER=repr(str(PACKAGE.parent)))


def launcher(**constants: str) -> str:
    """The source of the launcher without its docstring, and with the values of its constants filled in: expressions."""
    source = re.sub('^""".*?"""\n+', "", (PACKAGE / "launcher.py").read_text("utf-8"), flags=re.DOTALL)
    for name, value in {**constants, "VERSION": repr(compiled.VERSION)}.items():
        before, _, rest = source.partition(f"\n{name} = ")
        source = f"{before}\n{name} = {value}\n{rest.partition(chr(10))[2]}"
    return source


def _ctl_script() -> str:
    return CTL.replace("FOLDER", repr(str(PACKAGE.parent)))


def _first_line() -> str:
    line = f"#!{sys.executable} {ISOLATED}"
    if not sys.executable or set(sys.executable) & set(" \t\n") or not sys.executable.isprintable():
        raise ValueError(f"the path of the interpreter ({sys.executable!r}) cannot stand in a #! line")
    if len(os.fsencode(line)) > LONGEST:
        raise ValueError(f"the path of the interpreter is too long for a #! line: {sys.executable}")
    return line


def _write(target: Path, content: bytes, mode: int = 0o755) -> None:
    """Replace `target` in one step: a container may be starting from it just now."""
    if target.exists() and not target.is_file():
        raise ValueError(f"{target} exists and is not a regular file")
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        try:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            os.rename(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
