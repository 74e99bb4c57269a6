"""The workload: fork, undo what CPython changed, hand over, exec."""

import errno
import posix

from . import environment, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .log import Log

_DEFAULT_PATH = b"/bin:/usr/bin"
"""Where execvp(3) looks without ``PATH``."""


class CannotExecute(Exception):
    """The workload could not be executed."""

    def __init__(self, program: str, code: int) -> None:
        self.program = program
        self.errno = code
        """Why: what execve(2) said."""

    def __str__(self) -> str:
        if self.errno != errno.ENOENT:
            return f"cannot execute '{self.program}': {posix.strerror(self.errno)}"
        if "/" not in self.program:
            return f"cannot find '{self.program}' in PATH"
        try:
            posix.stat(self.program)
        except OSError:
            return f"cannot find '{self.program}'"
        return f"cannot execute '{self.program}': the interpreter that it asks for does not exist"

    @property
    def exit_status(self) -> int:
        """As env(1), timeout(1) and docker run have it."""
        return 127 if self.errno == errno.ENOENT else 126


def start(argv: "list[str]", newly_blocked: "set[int]", ignore_children: bool, log: "Log") -> int:
    """Start the workload in a process group of its own, in the foreground if we are; return its pid.

    When this returns the workload's program runs: a signal that came before has waited, instead of ending a
    child that is still ours. (A child that forwards nothing and catches nothing would just die of it.)

    Raises:
        OSError: no pipe or no process could be had.
        CannotExecute: the program could not be executed.
    """
    parent, group = posix.getpid(), posix.getpgrp()
    try:
        # exec closes the child's end, and the parent reads the end of file; or else why exec failed.
        receiver, sender = posix.pipe2(posix.O_CLOEXEC)
        pid = posix.fork()
    except OSError as error:
        raise OSError(error.errno, f"cannot start a process: {error.strerror}") from None
    if pid == 0:
        try:
            _lead_process_group(group, log)
            if ignore_children:
                signals.ignore_children()
            environment.restore()
            environment.name_listener(parent)
            signals.unblock(newly_blocked)
            code = _execute(argv)
        except OSError as error:
            code = error.errno or errno.EINVAL
        except BaseException:
            code = errno.ENOMEM
        posix.write(sender, bytes((code,)))
        posix._exit(127)
    posix.close(sender)
    failure = posix.read(receiver, 1)
    posix.close(receiver)
    if failure:
        posix.waitpid(pid, 0)
        raise CannotExecute(argv[0], failure[0])
    return pid


def let_go(log: "Log") -> None:
    """Keep nothing of what the workload was given: a directory could not be unmounted, a pipe would never end."""
    try:
        posix.chdir("/")
    except OSError as error:
        log.debug("chdir", f"cannot change to /: {error.strerror}")
    own = log.own or 2
    try:
        inherited = [number for number in map(int, posix.listdir("/proc/self/fd")) if number > 2 and number != own]
    except OSError:
        # Not in the first place: where there is no close_range(2), closerange tries each number there could be.
        posix.closerange(3, own)
        posix.closerange(max(own, 2) + 1, min(posix.sysconf("SC_OPEN_MAX"), 65536))
        return
    for number in inherited:
        try:
            posix.close(number)
        except OSError:  # EBADF: the one that listed the folder
            pass


def _lead_process_group(parents_group: int, log: "Log") -> None:
    """Become the leader of a new group, and the terminal's foreground if our parent's group was that.

    A group of its own: what the terminal sends (Ctrl-C) reaches the workload once, not a second time through
    pyinit, and a shell finds the terminal ready for job control. All signals are blocked here, so that SIGTTOU
    does not stop us.
    """
    try:
        posix.setpgid(0, 0)
    except OSError as error:  # EPERM: a session leader; cannot be, right after fork
        log.warning("setpgid", f"the workload gets no process group of its own: {error.strerror}")
        return
    for fd in (0, 1, 2):
        try:
            if posix.tcgetpgrp(fd) == parents_group:
                posix.tcsetpgrp(fd, posix.getpid())
            return
        except OSError:  # ENOTTY, EBADF: no terminal, or not the one that controls us
            continue


def _execute(argv: "list[str]") -> int:
    """Do as execvp(3) does; returns only on failure, with the errno."""
    program = argv[0].encode("utf-8", "surrogateescape")
    if b"/" in program or not program:
        return _try(program, argv)
    refused = False
    for folder in posix.environ.get(b"PATH", _DEFAULT_PATH).split(b":"):
        code = _try(folder + b"/" + program if folder else program, argv)
        if code == errno.EACCES:  # look on, but remember that there was one
            refused = True
        elif code not in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT):
            return code
    return errno.EACCES if refused else errno.ENOENT


def _try(path: bytes, argv: "list[str]") -> int:
    try:
        posix.execv(path, argv)
    except OSError as error:
        code = error.errno or errno.EINVAL
    except ValueError:  # an empty name
        return errno.ENOENT
    if code == errno.ENOEXEC:  # a script without #!
        try:
            posix.execv(b"/bin/sh", [b"/bin/sh", path, *[word.encode("utf-8", "surrogateescape") for word in argv[1:]]])
        except OSError as error:
            code = error.errno or errno.EINVAL
    return code
