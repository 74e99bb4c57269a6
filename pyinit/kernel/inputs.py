"""What another process reads as its standard input, and which program it runs.

Both takes the right to trace it (ptrace(2)): root has that for every process with CAP_SYS_PTRACE, and otherwise for
its own. Another user's process is looked at by a child of ours that takes the ids of that user. A child looks at files,
too: one on a server that does not answer would keep us waiting.
"""

import _stat as stat
import posix
import time

from . import procfs, reserves, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_A_PIPE, FED, RUN_DRY = range(3)
"""Standard input is not a pipe or FIFO for reading; it is one that has a writer, or unread bytes; it has neither."""

_PATIENCE = 0.5
"""Seconds that the child may take."""

_AFTER_KILL = 0.1
"""Seconds that it may take to end of SIGKILL. One that hangs in the kernel for longer is reaped as an orphan."""

_NO_FILE = ("socket:", "anon_inode:")
"""How the links of what is neither a file nor a pipe begin."""


_silent: "set[int]" = set()
"""The pids of processes whose file did not answer in time: nobody asks again."""


class Look:
    """What was seen of a process."""

    __slots__ = ("input", "program")

    def __init__(self, input: int = NOT_A_PIPE, program: str = "") -> None:
        self.input = input
        """One of the constants above."""
        self.program = program
        """The file name of the executable; empty if unknown."""


def look_at(pids: "Iterable[int]", ours: str) -> "dict[int, Look]":
    """Look at the processes; one that cannot be seen has a `Look` without anything.

    `ours` is the `standard_input` that was given to us: it does not count as a pipe.
    """
    found = {}
    others: "dict[tuple[int, int], list[int]]" = {}
    for pid in pids:
        found[pid] = Look()
        if pid in _silent:
            continue
        try:
            found[pid] = _look(pid, ours, is_child=False)
            continue
        except PermissionError:
            pass
        except OSError:  # it has ended
            continue
        try:
            folder = posix.stat(f"/proc/{pid}")
        except OSError:  # not reached: it ended since the line above
            continue
        others.setdefault((folder.st_uid, folder.st_gid), []).append(pid)
    until = time.monotonic() + 2 * _PATIENCE
    for (user, group), theirs in others.items():
        while theirs and time.monotonic() < until:
            known = len(_silent)
            try:
                answer = _ask_child(user, group, theirs, ours)
            except OSError:  # not reached: no process, or no descriptor, is left
                theirs = []
                break
            answers = answer.split(b"\0")[:-1]  # no name has this; what comes after the last was cut off
            for line in answers:
                seen, input, program = line.split(b" ", 2)
                found[int(seen)] = Look(int(input), program.decode("utf-8", "surrogateescape"))
            theirs = theirs[len(answers) + 1 :] if len(_silent) > known else []
        found.update({pid: Look(FED) for pid in theirs})  # no time is left: the next look will come to them
    return found


def reads_from_us(pid: int) -> bool:
    """Whether standard input of the process is what we have as standard output or standard error."""
    try:
        target = posix.readlink(f"/proc/{pid}/fd/0")
    except OSError:  # it has ended, or is another user's
        return False
    for number in (1, 2):
        try:
            if posix.readlink(f"/proc/self/fd/{number}") == target:
                return True
        except OSError:  # not reached: it is closed, and no file of ours has got the number
            pass
    return False


def _look(pid: int, ours: str, is_child: bool) -> Look:
    """Look at one process.

    Raises:
        PermissionError: a child has to look.
        OSError: it has ended.
    """
    look = Look(program=posix.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)").rpartition("/")[2])
    path = f"/proc/{pid}/fd/0"
    try:
        target = posix.readlink(path)
    except FileNotFoundError:  # closed
        return look
    if target == ours or target.startswith(_NO_FILE):
        return look
    if not target.startswith("pipe:"):
        if not is_child and not target.startswith("/dev/"):
            raise PermissionError
        if not stat.S_ISFIFO(posix.stat(path).st_mode):
            return look
    if _is_read_only(pid):
        look.input = FED if _is_fed(path) else RUN_DRY
    return look


def _is_read_only(pid: int) -> bool:
    flags = procfs.field(procfs.record(f"/proc/{pid}/fdinfo/0") or b"", b"flags")  # octal (proc_pid_fdinfo(5))
    return bool(flags) and int(flags, 8) & posix.O_ACCMODE == posix.O_RDONLY


def _is_fed(path: str) -> bool:
    """Whether a pipe has a writer or unread bytes. If that cannot be found out, it has."""
    try:
        import select

        fd = reserves.open_file(path, posix.O_RDONLY | posix.O_NONBLOCK)
    except (ImportError, OSError):  # not reached: no module or no descriptor is left
        return True
    try:
        pipe = select.poll()
        pipe.register(fd, select.POLLIN)
        if not pipe.poll(0):
            # A FIFO that was opened without a writer reports a hang-up only when there has been one since.
            posix.close(posix.open(path, posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC))
        events = pipe.poll(0)
        return not events or bool(events[0][1] & select.POLLIN)
    except OSError:
        return True
    finally:
        posix.close(fd)


def _ask_child(user: int, group: int, pids: "list[int]", ours: str) -> bytes:
    """Have a child with these ids look at the processes; return what it says of each, in time: pid, input and program,
    each answer with a NUL at its end.

    Raises:
        OSError: there can be no child, or no pipe to it.
    """
    reading, writing = posix.pipe()
    try:
        child = posix.fork()
        if child == 0:
            try:
                if user != posix.geteuid():
                    posix.setgroups([])
                    posix.setgid(group)
                    posix.setuid(user)
                for pid in pids:
                    try:
                        look = _look(pid, ours, is_child=True)
                    except OSError:  # not reached: it has just ended, or has other ids by now
                        look = Look()
                    program = look.program.encode("utf-8", "surrogateescape")
                    posix.write(writing, b"%d %d %s\0" % (pid, look.input, program))
            finally:
                posix._exit(0)
        posix.close(writing)
        writing = -1
        answer, until = b"", time.monotonic() + _PATIENCE
        posix.set_blocking(reading, False)
        while time.monotonic() < until:
            try:
                part = posix.read(reading, 8192)
            except BlockingIOError:
                time.sleep(0.001)
                continue
            if not part:
                break
            answer += part
        else:
            posix.kill(child, signals.KILL)
            _silent.update(pids[answer.count(b"\0") :][:1])
            until = time.monotonic() + _AFTER_KILL
            while not posix.waitpid(child, posix.WNOHANG)[0] and time.monotonic() < until:
                time.sleep(0.001)
            return answer
        posix.waitpid(child, 0)
        return answer
    finally:
        posix.close(reading)
        if writing >= 0:
            posix.close(writing)  # not reached: fork failed after the pipe was made
