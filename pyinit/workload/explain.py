"""Why exec failed, in one line that says what to mend; loaded only then.

Run in the child: it still has the working directory and the rights of the workload.
"""

import _stat as stat
import errno
import posix
import sys

from ..kernel import procfs
from ..kernel.numbers import whole
from . import program_file
from .environment import candidates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_LINKS = 5
"""How many interpreters and links are followed; the kernel takes no more than five scripts (execve(2))."""

_OF_SHELLS = (b"exec", b"cd", b"export", b"set", b"source", b".")
"""First words of command lines that only a shell understands."""

_LONGEST_NAME = 300
"""Characters of a name in the message."""

_BITS = 64 if sys.maxsize > 1 << 32 else 32
"""Those of a program for this machine."""

_ONE_STRING = 32 * posix.sysconf("SC_PAGE_SIZE")
"""Bytes that one argument or variable may have (``MAX_ARG_STRLEN``, execve(2))."""

_ALL_STRINGS = 6 << 20
"""Bytes that all of them may have, however large the limit on the stack is."""

# fmt: off
_PLATFORMS = {
    "x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm/v7", "armv6l": "arm/v6",
    "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64", "loongarch64": "loong64",
}
# fmt: on
"""What container engines call a machine, by its name in uname(2)."""

_LIBRARIES = (
    (b"/ld-musl-", "musl (as Alpine Linux has it)"),
    (b"/ld-uClibc", "uClibc"),
    (b"/system/bin/linker", "Bionic (Android)"),
    (b"/ld-linux", "glibc (as Debian, Ubuntu and Fedora have it)"),
    (b"/ld64.so", "glibc (as Debian, Ubuntu and Fedora have it)"),
    (b"/ld.so", "glibc (as Debian, Ubuntu and Fedora have it)"),
)
"""C libraries, by the names of their dynamic loaders."""


def explain(words: "list[bytes]", path: bytes, code: int) -> str:
    """Why the program could not be executed, as a whole sentence.

    `path` is the file that exec failed on, empty if there was none in PATH; `code` is the errno.
    """
    name = words[0]
    if code == errno.ENOENT and not _is_there(path) and not _is_link(path):
        return f"cannot find {_quoted(name)}{_why_missing(name)}"
    reason = ""
    if code == errno.E2BIG:
        reason = too_long(words, posix.environ)
    elif code == errno.EAGAIN:
        reason = f"{_who()} has as many processes as it may (ulimit -u)"
    elif code == errno.ETXTBSY:
        reason = "it is open for writing (Text file busy); start it when it has been written and closed"
    elif code == errno.ENAMETOOLONG and (line := _command_line(name)):
        reason = line
    elif path:
        reason = _why(path, "it", code)
    elif code == errno.EACCES:
        closed = [one for one in candidates(name) if _errno(one) == code]
        reason = _out_of_reach(closed[0], "it") if closed else ""
    where = f" ({_shown(path)})" if path not in (name, b"") else ""
    return f"cannot execute {_quoted(name)}{where}: {reason or posix.strerror(code)}"


def too_long(words: "list[bytes]", variables: "Mapping[bytes, bytes]") -> str:
    """What to say of arguments and environment that are too long together, or one of which is (E2BIG)."""
    strings = [(len(word) + 1, f"argument {_quoted(word[:40])}") for word in words]
    strings += [(len(key) + len(value) + 2, f"variable {_quoted(key)}") for key, value in variables.items()]
    size, largest = max(strings)
    if size > _ONE_STRING:
        return f"{largest} has {size} bytes, and Linux takes {_ONE_STRING} at most; hand it over in a file"
    total = sum([size + 8 for size, _ in strings])
    stack = _limit(b"Max stack size")
    limit = _ALL_STRINGS if stack is None else min(max(stack // 4, _ONE_STRING), _ALL_STRINGS)
    return (
        f"arguments and environment have {total} bytes ({largest} alone {size}), and Linux takes {limit} at most, "
        "a quarter of the stack (ulimit -s); hand them over in a file"
    )


def _why_missing(name: bytes) -> str:
    """What to say of a program that is not found, after its name."""
    if not name:
        return ": the program's name is empty"
    where = "" if b"/" in name else " in PATH"
    if line := _command_line(name):
        return f"{where}: {line}"
    if where == "":
        return _missing_folder(name)
    if name[:1] == b"-" != name:
        return " in PATH: options of pyinit stand before the '--', or in PYINIT_ variables"
    for path in candidates(name):
        if _is_link(path):
            return f" in PATH: {_out_of_reach(path, _quoted(path))}"
    if _is_there(name):
        return f" in PATH: it is in the working directory; write './{_shown(name)}'"
    folders = posix.environ.get(b"PATH")
    return " in PATH, which is not set" if folders is None else f" in PATH ({_shown(folders)})"


def _command_line(name: bytes) -> str:
    """What to say of a program's name that is a whole command line; empty if it is not one."""
    parts = name.split()
    if len(parts) < 2:
        return ""
    variable, has_value, _ = parts[0].partition(b"=")
    is_for_shell = parts[0] in _OF_SHELLS or (has_value and _shown(variable).isidentifier())
    if not is_for_shell and not any(map(_is_there, candidates(parts[0]))):
        return ""
    if is_for_shell or set(name) & set(b"'\"\\$`|&;<>()*?["):
        parts = [b"sh", b"-c", name]
    listed = [_shown(part.replace(b"\\", b"\\\\").replace(b'"', b'\\"')) for part in parts]
    return f"""the whole command line is one word; write ["{'", "'.join(listed)}"]"""


def _missing_folder(path: bytes) -> str:
    """The first folder of a path that does not exist; or the working directory that a relative path starts from."""
    parts = path.split(b"/")
    for count in range(1, len(parts)):
        folder = b"/".join(parts[:count])
        try:
            if folder and not stat.S_ISDIR(posix.stat(folder).st_mode):
                return f": {_quoted(folder)} is not a folder"
        except OSError as error:
            if error.errno == errno.ENOENT:
                return f": there is no folder {_quoted(folder)}"
            break  # not reached: a folder on the way is closed to us
    if path[:1] == b"/":
        return ""
    try:
        return f" in the working directory {_quoted(posix.getcwdb())}"
    except OSError:  # not reached: the working directory was deleted
        return ": the working directory has been deleted"


def _why(path: bytes, it: str, code: int, depth: int = 0) -> str:
    """Why a file cannot be executed; `it` is what the message calls it. Empty if there is nothing to be seen."""
    if reason := _out_of_reach(path, it):
        return reason
    found = posix.stat(path)
    if stat.S_ISDIR(found.st_mode):
        return f"{it} is a folder, not a program"
    if not stat.S_ISREG(found.st_mode):
        return f"{it} is not a regular file"
    if code == errno.EACCES and not posix.access(path, posix.X_OK):
        return _forbidden(path, it, found)
    head = program_file.head_of(path)
    if head is None:
        if code == errno.ENOENT:
            return f"{it} needs an interpreter or a dynamic loader that does not exist; {_who()} cannot read which"
        return f"{it} is not a program for this machine, and {_who()} cannot read it" if code == errno.ENOEXEC else ""
    if not head:
        return f"{it} is empty"
    if code == errno.ELOOP or depth == _MOST_LINKS:
        return f"{it} is a script whose interpreter is a script, and so on: Linux follows five '#!' lines"
    reason = ""
    if head[:4] == b"\x7fELF":
        reason = _why_elf(path, it, code, found.st_size, depth)
    elif program_file.interpreter(head):
        reason = _why_script(head, it, code, depth)
    elif code != errno.EACCES or program_file.is_text(head):
        reason = _why_no_program(head, it, code, depth)
    if not reason and code == errno.EACCES and not depth:
        reason = f"Permission denied, though its mode allows it ({_mode(found)}): see SELinux or AppArmor"
    return reason


def _why_no_program(head: bytes, it: str, code: int, depth: int) -> str:
    """What is wrong with a file that is neither an ELF program nor a script with an interpreter."""
    if head.startswith(program_file.MARK + b"#!"):
        return f"{it} starts with a byte order mark, which hides its '#!' line; save it as UTF-8 without one"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"{it} is text in UTF-16; save it as UTF-8"
    if head[:2] == b"MZ":
        return f"{it} is a program for Windows; build it for Linux"
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"):
        return f"{it} is a program for macOS; build it for Linux (GOOS=linux, for example)"
    if not program_file.is_text(head):
        return f"{it} is neither text nor a program for Linux"
    if it != "it":
        return f"{it} has no '#!' line of its own"
    shell = _why(b"/bin/sh", "/bin/sh", code, depth + 1)
    return f"it has no '#!' line, and {shell}" if shell else ""


def _why_script(head: bytes, it: str, code: int, depth: int) -> str:
    """What is wrong with a script that names its interpreter."""
    name = program_file.interpreter(head)
    if program_file.is_interpreter_cut(head):
        return f"{it} names an interpreter in more than the 255 bytes that Linux reads of a '#!' line"
    part = f"{_of(it)} interpreter {_quoted(name)}"
    if not _is_link(name) and not _is_there(name):
        if name[-1:] == b"\r":
            return (
                f"{part} does not exist: a carriage return (\\r) ends the '#!' line, as on Windows; "
                "convert the file with dos2unix"
            )
        if name[:1] != b"/":
            return (
                f"{part} does not exist in the working directory: it is not an absolute path; "
                f"write '#!/usr/bin/env {_shown(name.rpartition(b'/')[2])}'"
            )
    reason = _why(name, part, code, depth + 1)
    return f"{reason}; install it, or name another in the '#!' line" if reason.endswith("does not exist") else reason


def _why_elf(path: bytes, it: str, code: int, size: int, depth: int) -> str:
    """What is wrong with an ELF file."""
    file = program_file.open_regular(path)
    try:
        elf = program_file.Elf(file)
    finally:
        posix.close(file)
    if size < elf.least_size:
        return f"{it} is cut short: it has {size} bytes, and by its header {elf.least_size} or more"
    if code != errno.ENOEXEC and elf.loader:
        part = f"{_of(it)} dynamic loader {_quoted(elf.loader)}"
        reason = _why(elf.loader, part, errno.ENOEXEC if code == errno.ELIBBAD else code, depth + 1)
        library = next((name for start, name in _LIBRARIES if start in elf.loader), "")
        if reason.endswith("does not exist") and library:
            reason += f": it is built for {library}, {elf.bits}-bit; take a build for this image, or a static one"
        return reason
    ours = posix.uname().machine
    is_ours = ours.startswith(elf.machine) and elf.bits == _BITS and elf.order == sys.byteorder  # "riscv64", "ppc64le"
    if code == errno.ENOEXEC and not is_ours:
        platform = _PLATFORMS.get(ours)
        way_out = f"--platform=linux/{platform}" if platform else "--platform"
        theirs = f"{elf.machine} ({elf.bits}-bit, {elf.order}-endian)"
        return f"{it} is built for {theirs}, and this machine is {ours}; build or pull the image with {way_out}"
    if elf.type in (1, 4):
        return f"{it} is {'an object file' if elf.type == 1 else 'a core dump'}, not a program"
    return f"{it} is damaged: Linux does not accept its ELF header" if code == errno.ENOEXEC else ""


def _forbidden(path: bytes, it: str, found: "posix.stat_result") -> str:
    """Why we may not execute a file that we can see."""
    try:
        if posix.statvfs(path).f_flag & posix.ST_NOEXEC:
            return f"{it} is on a file system that is mounted noexec; mount it with exec"
    except OSError:  # not reached: the file was deleted meanwhile
        pass
    return f"{it} is not executable for {_who()} ({_mode(found)}); make it so with chmod a+x"


def _out_of_reach(path: bytes, it: str, depth: int = 0) -> str:
    """Why a file cannot be seen; empty if it can."""
    try:
        posix.stat(path)
        return ""
    except OSError as error:
        code = error.errno
        reason = f"{it} cannot be reached: {error.strerror}"
    if _is_link(path):
        target = posix.readlink(path)
        if code == errno.ENOENT:
            return f"{it} is a symbolic link to {_quoted(target)}, which does not exist"
        if depth < _MOST_LINKS and code == errno.EACCES:
            folder, slash, _ = path.rpartition(b"/")
            full = target if target[:1] == b"/" else folder + slash + target
            return _out_of_reach(full, it, depth + 1) or reason
    if code == errno.ENOENT:
        return f"{it} does not exist"
    if code == errno.ENOTDIR:
        return f"{it} does not exist{_missing_folder(path)}"
    if code == errno.EACCES:
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            folder = b"/".join(parts[:count]) or b"/"
            try:
                found = posix.stat(folder)
                if not posix.access(folder, posix.X_OK):
                    return f"{_who()} may not enter the folder {_quoted(folder)} ({_mode(found)}), where {it} should be"
            except OSError:  # not reached: the folder was deleted meanwhile
                break
    return reason  # not reached: as above


def _limit(name: bytes) -> "int | None":
    """Our own resource limit of this name in /proc/self/limits; None if there is none, or no /proc."""
    for line in (procfs.read("/proc/self/limits") or b"").splitlines():
        if line.startswith(name):
            return whole(line[len(name) :].split()[0], 1 << 64)
    return None  # not reached: no /proc


def _of(it: str) -> str:
    return "its" if it == "it" else f"{it}: its"


def _who() -> str:
    return f"user {posix.geteuid()}:{posix.getegid()}"


def _mode(found: "posix.stat_result") -> str:
    return f"mode {found.st_mode & 0o7777:04o}, owner {found.st_uid}:{found.st_gid}"


def _is_there(path: bytes) -> bool:
    return not _errno(path)


def _errno(path: bytes) -> int:
    """Why a file cannot be seen; 0 if it can."""
    try:
        posix.stat(path)
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def _is_link(path: bytes) -> bool:
    try:
        posix.readlink(path)
    except OSError:
        return False
    return True


def _quoted(name: bytes) -> str:
    return f"'{_shown(name)}'"


def _shown(name: bytes) -> str:
    """A name for the message: not too long, and a carriage return as people know it."""
    text = name.decode("utf-8", "surrogateescape").replace("\r", "\\r")
    return text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "..."
