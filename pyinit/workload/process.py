"""The workload: fork, undo what CPython changed, hand over, exec."""

import errno
import posix
import time

from ..kernel import signals
from . import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..options.settings import Options

_DEFAULT_PATH = b"/bin:/usr/bin"
"""Where execvp(3) looks without ``PATH``."""

_LOOK_ON = (errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)
"""The errors after which execvp(3) tries the next folder."""


_LEAD, _BECOME_USER, _EXECUTE = range(3)
"""What the child was about when it failed."""


class CannotExecute(Exception):
    """The workload could not be executed."""

    def __init__(self, program: str, code: int) -> None:
        self.program = program
        self.errno = code
        """Why: what execve(2) said."""

    def __str__(self) -> str:
        if self.errno != errno.ENOENT:
            return f"cannot execute '{self.program}': {posix.strerror(self.errno)}"
        if _search(self.program.encode("utf-8", "surrogateescape"))[0]:
            return f"cannot execute '{self.program}': the interpreter that it asks for does not exist"
        return f"cannot find '{self.program}'" + ("" if "/" in self.program else " in PATH")


class CannotBecomeUser(Exception):
    """The workload could not be run as the user that was asked for."""


class Workload:
    """The child, from fork to exec. What can be known before is settled by then: the child is slow.

    Each page that it touches has to be copied first, and that takes longer than what it does there. A spawned child
    would borrow our memory instead (an empty run took 1.07 times as long as a bare interpreter's, with a fork 1.24),
    but posix_spawn(3) of the GNU C library leaves it with signals 32 and 33 ignored, which they were not, and takes
    the environment as a mapping, which it need not be.
    """

    __slots__ = ("_argv", "_receiver", "_user", "leads_session", "pid", "started", "takes_terminal")

    def __init__(self, chosen: "Options", mask: "set[int]", ignore_children: bool) -> None:
        """Fork the child, which takes over in a process group of its own, or a session, with signal mask `mask`.

        A group of its own: what a terminal sends (Ctrl-C) reaches the workload once, not a second time through
        pyinit, and a shell finds everything ready for job control.

        Raises:
            OSError: no process could be had.
        """
        self._argv = chosen.argv
        self._user = user = chosen.user
        words = [word.encode("utf-8", "surrogateescape") for word in chosen.argv]
        paths, failure = _search(words[0], user is not None)
        self.takes_terminal, self.leads_session = make_room(chosen.session)
        """Whether it is given the terminal's foreground: Ctrl-C reaches it then, and not us; and whether it leads a
        session of its own."""
        environment.restore()
        passes_sockets = environment.names_listener(posix.getpid())
        try:
            # exec closes the child's end, and the parent reads the end of file; or else why exec failed.
            self._receiver, sender = posix.pipe2(posix.O_CLOEXEC)
            self.started = time.monotonic()
            self.pid = posix.fork()
        except OSError as error:
            raise OSError(error.errno, f"cannot start a process: {error.strerror}") from None
        if self.pid == 0:
            step = _LEAD
            try:
                lead(self.takes_terminal, self.leads_session)
                if user:
                    step = _BECOME_USER
                    user.assume()
                step = _EXECUTE
                if passes_sockets:
                    environment.name_listener()
                if ignore_children:
                    signals.ignore_children()
                if self.takes_terminal:  # Ctrl-Z would stop what is no program yet, and us who wait for it
                    signals.catch(signals.TERMINAL_STOPS)
                signals.restore(mask)
                failure = _execute(paths, words, failure)
            except OSError as error:
                failure = error.errno or errno.EINVAL
            except BaseException:
                step, failure = _EXECUTE, errno.ENOMEM
            posix.write(sender, bytes((failure, step)))
            posix._exit(127)
        posix.close(sender)

    @property
    def name(self) -> str:
        """The program's name without its folder."""
        return self._argv[0].rpartition("/")[2] or self._argv[0]

    def await_program(self) -> None:
        """Return when the program runs: a signal that came before has waited for it, and did not end the child.

        The one place besides the waiting loop where pyinit sleeps. Only a child that is stopped between the last
        two things that it does, or a file system that hangs, makes it long.

        Raises:
            CannotExecute: it could not be executed.
            CannotBecomeUser: not as the user that was asked for.
            OSError: it could not have a session of its own.
        """
        report = posix.read(self._receiver, 2)
        posix.close(self._receiver)
        if not report:
            return
        posix.waitpid(self.pid, 0)
        if self.takes_terminal:
            from . import job_control as terminal

            terminal.take_back(self.pid, is_over=True)
        failure, step = report
        if step == _LEAD:
            raise OSError(failure, f"cannot start a session: {posix.strerror(failure)}")
        if step == _BECOME_USER and self._user:
            raise CannotBecomeUser(f"cannot run as user '{self._user.text}': {posix.strerror(failure)}")
        raise CannotExecute(self._argv[0], failure)


def _search(program: bytes, by_another: bool = False) -> "tuple[list[bytes], int]":
    """Where execvp(3) would look for the program, less where nothing is; and the errno if none can be executed.

    `by_another`: another user will execute it, who may look where we may not.
    """
    named_by_path = b"/" in program
    candidates = [program]
    if not named_by_path:
        folders = posix.environ.get(b"PATH", _DEFAULT_PATH).split(b":") if program else ()
        candidates = [folder + b"/" + program if folder else program for folder in folders]
    paths = []
    failure = errno.ENOENT
    for path in candidates:
        try:
            posix.stat(path)
            paths.append(path)
        except OSError as error:
            if by_another and error.errno == errno.EACCES:
                paths.append(path)
            if error.errno and (named_by_path or error.errno == errno.EACCES):
                failure = error.errno
    return paths, failure


def make_room(wants_session: bool) -> "tuple[bool, bool]":
    """Before the fork: give up what the workload gets. Return whether it takes the terminal and leads a session."""
    takes_terminal = _owns_terminal()
    if not wants_session:
        return takes_terminal, False
    from . import session

    leads_session = session.can_be_led()
    return takes_terminal and (not leads_session or session.release_terminal()), leads_session


def _owns_terminal() -> bool:
    """Whether standard input is our controlling terminal, with our process group in its foreground.

    Standard input alone, as with tini: in ``pyinit ... </dev/null | less`` the terminal is for less. Below a shell,
    it is for less in ``pyinit ... | less`` as well: the foreground group is that of both, and the workload is given
    the terminal if it turns out to want it (`terminal`), which it could not show with SIGTTIN ignored.
    """
    try:
        group = posix.tcgetpgrp(0)
    except OSError:  # ENOTTY, EBADF
        return False
    if group != posix.getpgrp() or not (posix.getpid() == 1 or posix.isatty(1) or signals.is_ignored(signals.TTIN)):
        return False
    if group:
        return True
    from . import job_control as terminal  # both groups are outside our PID namespace, and may be two

    return terminal.owns_foreground()


def lead(takes_terminal: bool, leads_session: bool) -> None:
    """In the child: lead a session, or else a process group, the terminal's foreground one where that is ours to give.

    Raises:
        OSError: there can be no session.
    """
    if leads_session:
        from . import session

        session.lead()
        return
    try:
        posix.setpgid(0, 0)
    except OSError:  # only in a sandbox: right after fork nothing speaks against it
        return
    if takes_terminal:
        try:
            posix.tcsetpgrp(0, posix.getpid())  # SIGTTOU, which would stop us, is blocked
        except OSError:  # it has hung up, and the program will notice by itself
            pass


def _execute(paths: "list[bytes]", words: "list[bytes]", failure: int) -> int:
    """Do as execvp(3) does; returns only if that fails, with the errno."""
    for path in paths:
        try:
            posix.execv(path, words)
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code == errno.ENOEXEC:  # a script without #!
            try:
                posix.execv(b"/bin/sh", [b"/bin/sh", path, *words[1:]])
            except OSError as error:
                code = error.errno or errno.EINVAL
        if b"/" in words[0] or code not in _LOOK_ON:
            return code
        if code == errno.EACCES:  # look on, but remember that there was one
            failure = code
    return failure


def let_go() -> None:
    """Keep nothing of what the workload was given: a directory could not be unmounted, a pipe would never end."""
    try:
        posix.chdir("/")
    except OSError:  # EACCES: a root folder that is closed to us; no reason to end
        pass
    try:
        inherited = [int(name) for name in posix.listdir("/proc/self/fd") if name.isdigit() and int(name) > 2]
    except OSError:
        # Not in the first place: where there is no close_range(2), closerange tries each number there could be.
        posix.closerange(3, min(posix.sysconf("SC_OPEN_MAX"), 65536))
        return
    for number in inherited:
        try:
            posix.close(number)
        except OSError:  # EBADF: the one that listed the folder
            pass
