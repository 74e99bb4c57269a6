"""A program that cannot be started: one line that says what to fix, and the status of env(1)."""

import errno
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyinit.workload import explain
from testing import ROOT, packages
from testing.namespaces import INTERPRETER, Ended, clean_environment

from .conftest import Run, Start

PAGE = (ROOT / "docs/errors.md").read_text()

OURS = platform.machine()
NATIVE = {"x86_64": 62, "aarch64": 183}[OURS]
PLATFORM = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[OURS]

PATH = "/usr/bin:/bin"


def elf(
    machine: int = NATIVE,
    bits: int = 64,
    order: str = "<",
    *,
    type: int = 2,
    loader: bytes = b"",
    claims: int = 0,
    code: bytes = b"\xcc" * 64,
) -> bytes:
    """An ELF file with one segment to load, and a dynamic loader if `loader` is given. Its header claims that the
    segment has `claims` bytes more than it has."""
    word = "Q" if bits == 64 else "I"
    head_size, entry_size = (64, 56) if bits == 64 else (52, 32)
    entries = 2 if loader else 1
    start = head_size + entries * entry_size
    name = loader + b"\0" if loader else b""
    size = start + len(name) + len(code)
    head = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    head += struct.pack(f"{order}HHI3{word}I6H", type, machine, 1, 0x400000 + start, head_size, 0, 0, head_size,
                        entry_size, entries, 0, 0, 0)  # fmt: skip

    def entry(kind: int, place: int, length: int) -> bytes:
        numbers = (place, 0x400000 + place, 0x400000 + place, length, length)
        if bits == 64:
            return struct.pack(f"{order}II6Q", kind, 5, *numbers, 0x1000)
        return struct.pack(f"{order}I5III", kind, *numbers, 5, 0x1000)

    table = (entry(3, start, len(name)) if loader else b"") + entry(1, 0, size + claims)
    return head + table + name + code


Make = Callable[[Path], object]


def file(content: bytes | str, mode: int = 0o755) -> Make:
    """A program with this content; ``{folder}`` in it stands for its folder."""

    def make(folder: Path) -> None:
        text = content.encode() if isinstance(content, str) else content
        (folder / "program").write_bytes(text.replace(b"{folder}", bytes(folder)))
        (folder / "program").chmod(mode)

    return make


def helper(content: bytes | str, mode: int, script: str = "#!{folder}/helper\n") -> Make:
    """A script and its interpreter."""

    def make(folder: Path) -> None:
        file(content, mode)(folder)
        (folder / "program").rename(folder / "helper")
        file(script)(folder)

    return make


def link(target: str, name: str = "program") -> Make:
    """A symbolic link."""
    return lambda folder: (folder / name).symlink_to(target)


def all_of(*makes: Make) -> Make:
    """Make several files."""
    return lambda folder: [make(folder) for make in makes]


def of_another_machine(folder: Path) -> None:
    """A program whose dynamic loader is for another machine."""
    file(elf(243))(folder)
    (folder / "program").rename(folder / "loader")
    file(elf(loader=bytes(folder / "loader")))(folder)


def nothing(folder: Path) -> None:
    """No file."""


@dataclass(frozen=True)
class Row:
    """A program, and the error that it makes. ``{folder}`` is the folder, ``{user}`` the ids of the workload."""

    make: Make
    line: str
    """After ``pyinit: ``."""
    words: str
    """The words to search for in docs/errors.md."""
    status: int = 126
    argv: Sequence[str] = ("{folder}/program", "argument")
    before: Sequence[str] = ()
    """Words to put in front of the launcher."""
    path: str | None = PATH
    cwd: str = "/"
    variables: Mapping[str, str] = field(default_factory=dict)


IT = "cannot execute '{folder}/program': "

MOUNTED_NOEXEC = """
mount -t tmpfs -o mode=755,noexec none "$0/mounted" && cp -p "$0/program" "$0/mounted" && exec "$@"
"""


ROWS: dict[str, Row] = {
    "a name that does not exist": Row(
        nothing, "cannot find 'gunicorn' in PATH (/usr/bin:/bin)", "in PATH (", 127, ["gunicorn", "app:app"]
    ),
    "PATH is not set": Row(
        nothing, "cannot find 'gunicorn' in PATH, which is not set", "in PATH, which is not set", 127, ["gunicorn"],
        path=None,
    ),
    "a path that does not exist": Row(nothing, "cannot find '{folder}/program'", "cannot find '", 127),
    "a path in a folder that does not exist": Row(
        nothing, "cannot find '{folder}/venv/bin/app': there is no folder '{folder}/venv'", "there is no folder", 127,
        ["{folder}/venv/bin/app"],
    ),
    "a relative path in another working directory": Row(
        nothing, "cannot find './app.py' in the working directory '{folder}'", "in the working directory", 127,
        ["./app.py"], cwd="{folder}",
    ),
    "below a file": Row(
        file(""), "cannot execute '{folder}/program/x': it does not exist: '{folder}/program' is not a folder",
        "is not a folder", argv=["{folder}/program/x"],
    ),
    "an empty name": Row(
        nothing, "cannot find '': the program's name is empty", "the program's name is empty", 127, [""]
    ),
    "the whole command line in one word": Row(
        nothing,
        """cannot find 'sh app.sh  -x' in PATH: the whole command line is one word; write ["sh", "app.sh", "-x"]""",
        "the whole command line is one word", 127, ["sh app.sh  -x"],
    ),
    "a command line for a shell in one word": Row(
        nothing,
        """cannot find '/bin/echo "$HOME" \\ && ls': the whole command line is one word; """
        r"""write ["sh", "-c", "/bin/echo \"$HOME\" \\ && ls"]""",
        "the whole command line is one word", 127, ['/bin/echo "$HOME" \\ && ls'],
    ),
    "a command line that starts with a word of shells in one word": Row(
        nothing,
        """cannot find 'exec gunicorn app:app' in PATH: the whole command line is one word; """
        """write ["sh", "-c", "exec gunicorn app:app"]""",
        "the whole command line is one word", 127, ["exec gunicorn app:app"],
    ),
    "a command line that starts with a variable in one word": Row(
        nothing,
        """cannot find 'DEBUG=1 python3 app.py' in PATH: the whole command line is one word; """
        """write ["sh", "-c", "DEBUG=1 python3 app.py"]""",
        "the whole command line is one word", 127, ["DEBUG=1 python3 app.py"],
    ),
    "a command line that changes the folder in one word": Row(
        nothing,
        """cannot find 'cd /srv/app && ./run': the whole command line is one word; """
        """write ["sh", "-c", "cd /srv/app && ./run"]""",
        "the whole command line is one word", 127, ["cd /srv/app && ./run"],
    ),
    "an option and the program in one word": Row(
        nothing,
        "cannot find '--drain-timeout=3 app' in PATH: options of pyinit stand before the '--', or in PYINIT_ variables",
        "options of pyinit stand before the '--'", 127, ["--drain-timeout=3 app"],
    ),
    "a command line in one word that is longer than a file name": Row(
        nothing,
        f"""cannot execute '/bin/echo {"x" * 280}': the whole command line is one word; """
        f"""write ["/bin/echo", "{"x" * 280}"]""",
        "the whole command line is one word", 126, [f"/bin/echo {'x' * 280}"],
    ),
    "a name with a space that does not exist": Row(
        nothing, "cannot find 'no such' in PATH (/usr/bin:/bin)", "in PATH (", 127, ["no such"]
    ),
    "a name that exists in the working directory": Row(
        file("#!/bin/sh\n"), "cannot find 'program' in PATH: it is in the working directory; write './program'",
        "it is in the working directory", 127, ["program"], cwd="{folder}",
    ),
    "options after --": Row(
        nothing, "cannot find '-g' in PATH: options of pyinit stand before the '--', or in PYINIT_ variables",
        "options of pyinit stand before the '--'", 127, ["-g", "sh"],
    ),
    "a folder": Row(
        lambda folder: (folder / "program").mkdir(), IT + "it is a folder, not a program", "it is a folder"
    ),
    "a folder in PATH": Row(
        lambda folder: (folder / "program").mkdir(),
        "cannot execute 'program' ({folder}/program): it is a folder, not a program", "it is a folder",
        argv=["program"], path="/bin:{folder}",
    ),
    "a FIFO": Row(
        lambda folder: os.mkfifo(folder / "program", 0o755), IT + "it is not a regular file", "it is not a regular file"
    ),
    "a dangling link": Row(
        link("/none/python3"),
        IT + "it is a symbolic link to '/none/python3', which does not exist", "it is a symbolic link to", 127,
    ),
    "a link to itself": Row(
        link("program"), IT + f"it cannot be reached: {os.strerror(errno.ELOOP)}", "it cannot be reached", 126,
    ),
    "a dangling link in PATH": Row(
        link("/none/python3"),
        "cannot find 'program' in PATH: '{folder}/program' is a symbolic link to '/none/python3', which does not exist",
        "is a symbolic link to", 127, ["program"], path="/bin:{folder}",
    ),
    "not executable": Row(
        file("#!/bin/sh\n", 0o644),
        IT + "it is not executable for user {user} (mode 0644, owner 0:0); make it so with chmod a+x",
        "it is not executable",
    ),
    "not executable, in PATH": Row(
        file("#!/bin/sh\n", 0o644),
        "cannot execute 'program' ({folder}/program): "
        "it is not executable for user {user} (mode 0644, owner 0:0); make it so with chmod a+x",
        "it is not executable", argv=["program"], path="{folder}:/bin",
    ),
    "on a file system mounted noexec": Row(
        all_of(file("#!/bin/sh\n"), lambda folder: (folder / "mounted").mkdir()),
        "cannot execute '{folder}/mounted/program': "
        "it is on a file system that is mounted noexec; mount it with exec",
        "it is on a file system that is mounted noexec",
        argv=["{folder}/mounted/program"], before=["sh", "-c", MOUNTED_NOEXEC, "{folder}"],
    ),
    "empty": Row(file(""), IT + "it is empty", "it is empty"),
    "cut short in the header": Row(
        file(elf()[:40]), IT + "it is cut short: it has 40 bytes, and by its header 64 or more", "it is cut short"
    ),
    "cut short in the program headers": Row(
        file(elf()[:100]), IT + "it is cut short: it has 100 bytes, and by its header 120 or more", "it is cut short"
    ),
    "cut short before the name of the loader": Row(
        file(elf(loader=b"/lib/ld.so")[:176]),
        IT + "it is cut short: it has 176 bytes, and by its header 251 or more", "it is cut short",
    ),
    "neither text nor a program": Row(
        file(b"\x89PNG\r\n\x1a\n" + bytes(100)), IT + "it is neither text nor a program for Linux",
        "it is neither text nor a program for Linux",
    ),
    "a program for Windows": Row(
        file(b"MZ\x90\0" + bytes(100)), IT + "it is a program for Windows; build it for Linux",
        "it is a program for Windows",
    ),
    "a program for macOS": Row(
        file(b"\xcf\xfa\xed\xfe" + bytes(100)),
        IT + "it is a program for macOS; build it for Linux (GOOS=linux, for example)", "it is a program for macOS",
    ),
    "text in UTF-16": Row(
        file("echo started\n".encode("utf-16")), IT + "it is text in UTF-16; save it as UTF-8", "it is text in UTF-16"
    ),
    "an object file": Row(file(elf(type=1)), IT + "it is an object file, not a program", "it is an object file"),
    "a core dump": Row(file(elf(type=4)), IT + "it is a core dump, not a program", "it is a core dump"),
    "a damaged header": Row(
        file(elf(type=9)), IT + "it is damaged: Linux does not accept its ELF header", "it is damaged"
    ),
    "a missing loader of musl": Row(
        file(elf(loader=b"/none/ld-musl-x86_64.so.1")),
        IT + "its dynamic loader '/none/ld-musl-x86_64.so.1' does not exist: "
        "it is built for musl (as Alpine Linux has it), 64-bit; take a build for this image, or a static one",
        "its dynamic loader", 127,
    ),
    "a missing loader of glibc": Row(
        file(elf(loader=b"/none/ld-linux-x86-64.so.2")),
        IT + "its dynamic loader '/none/ld-linux-x86-64.so.2' does not exist: "
        "it is built for glibc (as Debian, Ubuntu and Fedora have it), 64-bit; "
        "take a build for this image, or a static one",
        "its dynamic loader", 127,
    ),
    "a missing loader of an unknown C library": Row(
        file(elf(loader=b"/none/loader")), IT + "its dynamic loader '/none/loader' does not exist",
        "its dynamic loader", 127,
    ),
    "a loader for another machine": Row(
        of_another_machine,
        IT + "its dynamic loader '{folder}/loader' is built for riscv (64-bit, little-endian), "
        f"and this machine is {OURS}; build or pull the image with --platform={PLATFORM}",
        "its dynamic loader",
    ),
    "a missing interpreter": Row(
        file("#! /none/python3 -u\n"),
        IT + "its interpreter '/none/python3' does not exist; install it, or name another in the '#!' line",
        "its interpreter", 127,
    ),
    "a missing interpreter, in PATH": Row(
        file("#!/none/python3\n"),
        "cannot execute 'program' ({folder}/program): "
        "its interpreter '/none/python3' does not exist; install it, or name another in the '#!' line",
        "its interpreter", 127, ["program"], path="{folder}:/bin",
    ),
    "an interpreter that is a dangling link": Row(
        all_of(file("#!{folder}/python\n"), link("/none/python3", "python")),
        IT + "its interpreter '{folder}/python' is a symbolic link to '/none/python3', which does not exist; "
        "install it, or name another in the '#!' line",
        "its interpreter", 127,
    ),
    "CR LF line ends": Row(
        file("#!/bin/sh\r\necho started\r\n"),
        IT + r"its interpreter '/bin/sh\r' does not exist: a carriage return (\r) ends the '#!' line, as on Windows; "
        "convert the file with dos2unix",
        "a carriage return", 127,
    ),
    "a byte order mark": Row(
        file(b"\xef\xbb\xbf#!/bin/sh\necho started\n"),
        IT + "it starts with a byte order mark, which hides its '#!' line; save it as UTF-8 without one",
        "it starts with a byte order mark",
    ),
    "a relative interpreter": Row(
        file("#!python3 -u\n"),
        IT + "its interpreter 'python3' does not exist in the working directory: it is not an absolute path; "
        "write '#!/usr/bin/env python3'",
        "it is not an absolute path", 127,
    ),
    "an interpreter that is not executable": Row(
        helper("#!/bin/sh\n", 0o644),
        IT + "its interpreter '{folder}/helper' is not executable for user {user} (mode 0644, owner 0:0); "
        "make it so with chmod a+x",
        "is not executable",
    ),
    "an interpreter that is a folder": Row(
        file("#!{folder}\n"), IT + "its interpreter '{folder}' is a folder, not a program", "is a folder"
    ),
    "an interpreter for another machine": Row(
        helper(elf(243), 0o755),
        IT + "its interpreter '{folder}/helper' is built for riscv (64-bit, little-endian), "
        f"and this machine is {OURS}; build or pull the image with --platform={PLATFORM}",
        "is built for",
    ),
    "an interpreter with a missing loader": Row(
        helper(elf(loader=b"/none/ld-musl-x86_64.so.1"), 0o755),
        IT + "its interpreter '{folder}/helper': its dynamic loader '/none/ld-musl-x86_64.so.1' does not exist: "
        "it is built for musl (as Alpine Linux has it), 64-bit; take a build for this image, or a static one",
        "its dynamic loader", 127,
    ),
    "an interpreter without an interpreter": Row(
        helper("echo started\n", 0o755), IT + "its interpreter '{folder}/helper' has no '#!' line of its own",
        "has no '#!' line of its own",
    ),
    "scripts that are each other's interpreters": Row(
        helper("#!{folder}/program\n", 0o755),
        IT + "it is a script whose interpreter is a script, and so on: Linux follows five '#!' lines",
        "it is a script whose interpreter is a script",
    ),
    "an interpreter whose name is too long": Row(
        file(f"#!/{'x' * 300}\n"),
        IT + "it names an interpreter in more than the 255 bytes that Linux reads of a '#!' line",
        "it names an interpreter in more than the 255 bytes",
    ),
    "text, and a shell that cannot be executed": Row(
        all_of(file("echo started\n"), lambda folder: (folder / "closed").write_text("")),
        IT + "it has no '#!' line, and /bin/sh is not executable for user {user} (mode 0644, owner 0:0); "
        "make it so with chmod a+x",
        "it has no '#!' line", before=["bash", "-c", 'mount --bind "$0/closed" /bin/sh && exec "$@"', "{folder}"],
    ),
}  # fmt: skip
"""Every message, but for those of another machine."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    path = Path(tempfile.mkdtemp(prefix="pyinit-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["command", "another user", "pyinit.run"])
def attempt(request: pytest.FixtureRequest, bare: Start, launcher: str) -> Callable[[Row, Path], tuple[Ended, str]]:
    """Try to start it in one of the ways; return how that ended, and the line that was expected."""

    def attempt(row: Row, folder: Path) -> tuple[Ended, str]:
        row.make(folder)
        user = "1010:1011" if request.param == "another user" else "0:0"

        def filled(text: str) -> str:
            return text.replace("{folder}", str(folder)).replace("{user}", user)

        init = [launcher, "--"]
        if request.param == "another user":
            init = [launcher, "-u", user, "--"]
        if request.param == "pyinit.run":
            init = [INTERPRETER, "-c", "import pyinit, sys; pyinit.run(sys.argv[1:])"]
        variables = {"PYTHONPATH": str(Path(launcher).parent.parent / "lib"), **row.variables}
        if row.path is not None:
            variables["PATH"] = filled(row.path)
        words = [filled(word) for word in [*row.before, *init, *row.argv]]
        container = bare(*words, env=variables, cwd=filled(row.cwd))
        return container.end(), f"pyinit: {filled(row.line)}\n"

    return attempt


Attempt = Callable[[Row, Path], tuple[Ended, str]]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_cannot_be_started_is_explained_in_one_line(attempt: Attempt, folder: Path, row: Row) -> None:
    """With its status, and nothing runs."""
    ended, line = attempt(row, folder)
    assert (ended.status, ended.err, ended.out) == (row.status, line, "")


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_line_can_be_searched_for_on_the_page_of_errors(row: Row) -> None:
    """docs/errors.md has its first words."""
    assert row.words in row.line and row.words in PAGE


MACHINES = [
    ("sparc", 2, 32, ">"), ("i386", 3, 32, "<"), ("m68k", 4, 32, ">"), ("mips", 8, 32, ">"), ("mips", 8, 32, "<"),
    ("mips", 8, 64, ">"), ("mips", 8, 64, "<"), ("parisc", 15, 32, ">"), ("parisc", 15, 64, ">"),
    ("sparc", 18, 32, ">"),
    ("ppc", 20, 32, ">"), ("ppc64", 21, 64, ">"), ("ppc64", 21, 64, "<"), ("s390x", 22, 64, ">"), ("arm", 40, 32, "<"),
    ("arm", 40, 32, ">"), ("sh", 42, 32, "<"), ("sparc64", 43, 64, ">"), ("ia64", 50, 64, "<"), ("x86_64", 62, 64, "<"),
    ("x86_64", 62, 32, "<"), ("openrisc", 92, 32, ">"), ("arc", 93, 32, "<"), ("arc", 195, 32, "<"),
    ("xtensa", 94, 32, "<"), ("xtensa", 94, 32, ">"), ("nios2", 113, 32, "<"), ("hexagon", 164, 32, "<"),
    ("aarch64", 183, 64, "<"), ("aarch64", 183, 64, ">"), ("microblaze", 189, 32, "<"), ("riscv", 243, 32, "<"),
    ("riscv", 243, 64, "<"), ("csky", 252, 32, "<"), ("loongarch", 258, 64, "<"), ("alpha", 0x9026, 64, "<"),
    ("machine 4711", 4711, 64, "<"),
]  # fmt: skip
"""The machines that Linux runs on: names, numbers in ELF files (linux/elf-em.h), bits and byte order."""

OUR_KIND = {"x86_64": ("i386", "x86_64"), "aarch64": ("arm", "aarch64")}[OURS]


@pytest.mark.parametrize(
    ("name", "number", "bits", "order"),
    [one for one in MACHINES if one[0] not in OUR_KIND or one[3] == ">"],
    ids=lambda value: str(value),
)
def test_the_machine_of_a_program_for_another_machine_is_named(
    run: Run, folder: Path, name: str, number: int, bits: int, order: str
) -> None:
    """So are ours and the remedy. The file is not run as a script, whatever it contains."""
    file(elf(number, bits, order, code=b"\necho started\n"))(folder)
    ended = run("--", folder / "program")
    order_name = "little" if order == "<" else "big"
    line = (
        f"pyinit: cannot execute '{folder}/program': it is built for {name} ({bits}-bit, {order_name}-endian), "
        f"and this machine is {OURS}; build or pull the image with --platform={PLATFORM}\n"
    )
    assert (ended.status, ended.err, ended.out) == (126, line, "")
    assert "it is built for" in PAGE


def test_a_user_with_as_many_processes_as_allowed_is_named(run: Run) -> None:
    """The kernel lets the ids change, and then refuses the program."""
    user = 20_000 + os.getpid() % 40_000
    others = [subprocess.Popen(["sleep", "1000"], user=user, group=user, extra_groups=[]) for _ in range(2)]
    try:
        ended = run("-u", f"{user}", "--", "true", before=["prlimit", "--nproc=1"], env=clean_environment(PATH=PATH))
    finally:
        for other in others:
            other.kill()
            other.wait()
    what = f"user {user}:{user} has as many processes as it may (ulimit -u)"
    assert (ended.status, ended.err) == (126, f"pyinit: cannot execute 'true' (/usr/bin/true): {what}\n")
    assert "has as many processes as it may" in PAGE


@pytest.mark.parametrize("ours", ["x86_64", "aarch64", "riscv64", "ppc64le", "loongarch64"])
def test_a_damaged_program_for_this_machine_is_not_called_one_for_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ours: str
) -> None:
    """Whatever uname(2) calls this machine."""
    number = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "ppc64le": 21, "loongarch64": 258}[ours]
    monkeypatch.setattr("pyinit.workload.explain.posix.uname", lambda: types.SimpleNamespace(machine=ours))
    file(elf(number))(tmp_path)
    path = os.fsencode(tmp_path / "program")
    assert explain.explain([path], path, errno.ENOEXEC).endswith(
        ": it is damaged: Linux does not accept its ELF header"
    )


def test_a_refusal_of_a_foreign_program_that_could_run_is_not_blamed_on_its_machine(tmp_path: Path) -> None:
    """As for 32-bit programs on x86_64: that it is for another machine would be ENOEXEC."""
    file(elf(3, 32))(tmp_path)
    path = os.fsencode(tmp_path / "program")
    assert explain.explain([path], path, errno.EPERM).endswith(": Operation not permitted")


def test_a_file_that_is_open_for_writing_is_busy(attempt: Attempt, folder: Path) -> None:
    """ETXTBSY."""
    busy = "it is open for writing (Text file busy); start it when it has been written and closed"
    row = Row(nothing, IT + busy, "it is open for writing")
    shutil.copy("/bin/true", folder / "program")
    with open(folder / "program", "ab"):
        ended, line = attempt(row, folder)
    assert (ended.status, ended.err) == (126, line)
    assert row.words in PAGE


def test_the_user_and_the_obstacle_are_named(run: Run, folder: Path) -> None:
    """The obstacle may be the mode of the program, of a folder, or of its interpreter's folder."""
    closed = folder / "closed"
    closed.mkdir(0o700)
    for place, mode in ((folder / "mine", 0o750), (closed / "program", 0o755)):
        place.write_text("#!/bin/sh\n")
        place.chmod(mode)
    (folder / "script").write_text(f"#!{closed}/program\n")
    (folder / "link").symlink_to(closed / "program")
    (folder / "script").chmod(0o755)
    nobody = "user 1010:1011"
    entering = f"{nobody} may not enter the folder '{closed}' (mode 0700, owner 0:0), where"
    for words, reason in (
        ([f"{folder}/mine"], f"it is not executable for {nobody} (mode 0750, owner 0:0); make it so with chmod a+x"),
        ([f"{closed}/program"], f"{entering} it should be"),
        ([f"{folder}/link"], f"{entering} it should be"),
        ([f"{folder}/script"], f"{entering} its interpreter '{closed}/program' should be"),
    ):
        ended = run("-u", "1010:1011", "--", *words)
        assert (ended.status, ended.err) == (126, f"pyinit: cannot execute '{words[0]}': {reason}\n")
    ended = run("-u", "1010:1011", "--", "program", env=clean_environment(PATH=f"/bin:{closed}"))
    where = f" ({closed}/program)"
    assert (ended.status, ended.err) == (126, f"pyinit: cannot execute 'program'{where}: {entering} it should be\n")
    assert "may not enter the folder" in PAGE


def test_a_folder_in_path_that_is_closed_to_pyinit_itself_is_named(run: Run, folder: Path) -> None:
    """The program may be in there, so the status is 126, as with execvp(3)."""
    (folder / "closed").mkdir(0o700)
    search = clean_environment(PATH=f"/bin:{folder}/closed:{folder}")
    ended = run("--", "program", before=["setpriv", "--reuid=1010", "--regid=1011", "--clear-groups"], env=search)
    closed = f"user 1010:1011 may not enter the folder '{folder}/closed' (mode 0700, owner 0:0), where it should be"
    assert (ended.status, ended.err) == (126, f"pyinit: cannot execute 'program': {closed}\n")


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (
            "#!/none/sh\n",
            127,
            "it needs an interpreter or a dynamic loader that does not exist; user 1010:1011 cannot read which",
        ),
        (b"\0\0", 126, "it is not a program for this machine, and user 1010:1011 cannot read it"),
    ],
)
def test_a_file_that_may_be_executed_but_not_read_is_not_guessed_at(
    run: Run, folder: Path, content: str | bytes, status: int, reason: str
) -> None:
    """Only the kernel could read it."""
    file(content, 0o711)(folder)
    ended = run("-u", "1010:1011", "--", folder / "program")
    assert (ended.status, ended.err) == (status, f"pyinit: cannot execute '{folder}/program': {reason}\n")
    assert reason.partition(";")[0].partition(",")[0] in PAGE


@given(
    st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: elf()[:24] + rest),
    st.sampled_from([*errno.errorcode]),
)
@settings(max_examples=300, derandomize=True, database=None, deadline=None)
def test_any_file_and_any_error_is_one_line(content: bytes, code: int) -> None:
    """Whatever the file contains, nothing is raised, and the line names the program."""
    with tempfile.NamedTemporaryFile() as program:
        program.write(content)
        program.flush()
        name = program.name.encode()
        assert explain.explain([name, b""], name, code).startswith(f"cannot execute '{program.name}': ")


@pytest.mark.parametrize("library", ["glibc", "musl"])
def test_a_real_program_without_its_loader_names_its_c_library(run: Run, folder: Path, library: str) -> None:
    """Built by a compiler for another image."""
    loader = {"glibc": "/none/ld-linux.so.2", "musl": "/none/ld-musl-x86_64.so.1"}[library]
    source = folder / "program.c"
    source.write_text("int main(void) { return 0; }\n")
    gcc = packages.provide("gcc", "gcc") if library == "glibc" else packages.provide("musl-gcc", "musl-tools")
    subprocess.run([gcc, f"-Wl,--dynamic-linker={loader}", "-o", folder / "program", source], check=True)
    ended = run("--", folder / "program")
    start = f"pyinit: cannot execute '{folder}/program': its dynamic loader '{loader}' does not exist: "
    assert ended.status == 127 and ended.err.startswith(f"{start}it is built for {library} ("), ended


def test_only_text_is_handed_to_the_shell(run: Run, folder: Path) -> None:
    """A script without a #! line in any encoding that includes ASCII, and one with an empty #! line."""
    for text in (
        "echo $0 started # caf\xe9\n".encode("latin-1"),
        "echo $0 started # \u4f60\n".encode(),
        b"#!\necho $0 started\n",
    ):
        file(text)(folder)
        assert run("--", folder / "program").out == f"{folder}/program started\n"


def test_the_line_goes_to_the_json_log_and_the_termination_log(run: Run, folder: Path) -> None:
    """As any other."""
    log = folder / "termination-log"
    ended = run("--log-format=json", f"--termination-log={log}", "--", folder)
    found = json.loads(ended.err)
    assert found["message"] == f"cannot execute '{folder}': it is a folder, not a program"
    assert (found["event"], found["program"], found["error"]) == ("exec", str(folder), "Permission denied")
    assert json.loads(log.read_text()) == found


@pytest.mark.parametrize(
    ("code", "pattern"),
    [
        (
            "E2BIG",
            r"arguments and environment have \d+ bytes \(variable 'BIG' alone 100005\), "
            r"and Linux takes \d+ at most, a quarter of the stack \(ulimit -s\); hand them over in a file",
        ),
        ("ENOMEM", os.strerror(errno.ENOMEM)),
        (
            "EACCES",
            r"Permission denied, though its mode allows it \(mode 0755, owner 0:0\): see SELinux or AppArmor",
        ),
        ("EPERM", "Operation not permitted"),
    ],
)
def test_rare_errors_of_the_kernel_are_explained(attempt: Attempt, folder: Path, code: str, pattern: str) -> None:
    """A tracer injects the errors into execve(2) of this program."""
    shutil.copy("/bin/true", folder / "program")
    strace = [packages.provide("strace", "strace"), "-D", "-f", "-qq", "-o", "{folder}/trace", "-P", "{folder}/program"]
    row = Row(nothing, IT, "", before=[*strace, "-e", f"inject=execve:error={code}"], variables={"BIG": "x" * 100000})
    ended, start = attempt(row, folder)
    assert ended.status == 126 and re.fullmatch(re.escape(start[:-1]) + pattern + "\n", ended.err), ended
    for words in ("arguments and environment have", "though its mode allows it"):
        assert words in PAGE


def test_too_many_arguments_are_counted(bare: Start, launcher: str) -> None:
    """E2BIG from pyinit.run: the error gives the sizes, and the program goes on."""
    program = """if True:
        import os, pyinit, resource
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.RLIM_INFINITY))
        for words in (["true", "y" * 150000], ["true", *["z" * 100000] * 4]):
            try:
                pyinit.run(words)
            except OSError as error:
                print(error.strerror)
    """
    variables = clean_environment(PYTHONPATH=str(Path(launcher).parent.parent / "lib"))
    ended = bare(INTERPRETER, "-c", program, env=variables, cwd="/").end()
    first, second = ended.out.splitlines()
    assert first.endswith(
        f"anew: argument '{'y' * 40}' has 150001 bytes, and Linux takes 131072 at most; hand it over in a file"
    )
    assert re.search(
        rf"arguments and environment have 4\d{{5}} bytes \(argument '{'z' * 40}' alone 100001\), "
        r"and Linux takes 262144 at most, a quarter of the stack \(ulimit -s\); hand them over in a file$",
        second,
    ), ended


def test_a_start_does_not_load_what_explains_a_failure() -> None:
    """So the explanations cost a start nothing."""
    program = "import sys, pyinit.main, pyinit.init; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).split()
    assert "pyinit.workload.process" in loaded
    assert not {"pyinit.workload.explain", "pyinit.workload.program_file", "pyinit.workload.failures"} & set(loaded)
