"""The workload: fork, undo what CPython changed, exec."""

import errno
import posix
import time

from ..kernel import reserves, signals
from . import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..options.settings import Settings

_LOOK_ON = (errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)
"""The errors after which execvp(3) tries the next folder."""


_LEAD, _BECOME_USER, _EXECUTE = range(3)
"""The steps of the child, for the report of the one that failed."""

_MOST = 4000
"""Bytes of the reason in that report, which is written to the pipe at once (``PIPE_BUF``, pipe(7))."""


class Workload:
    """The child, from fork to exec. Whatever can be known earlier is settled before the fork: the child is slow.

    Each page that it touches has to be copied first, and that takes longer than what it does there. A spawned child
    would borrow our memory instead (an empty run took 1.07 times as long as a bare interpreter's, with a fork 1.24),
    but posix_spawn(3) of the GNU C library leaves it with signals 32 and 33 ignored, which they were not, and takes
    the environment as a mapping, which it need not be.
    """

    __slots__ = ("_go", "_receiver", "_settings", "leads_session", "pid", "started", "takes_terminal")

    def __init__(self, settings: "Settings", mask: "set[int]", ignore_children: bool) -> None:
        """Fork the child, which gets a process group of its own, or a session, and signal mask `mask`, and waits for
        `release`.

        A group of its own: what a terminal sends (Ctrl-C) reaches the workload once, not a second time through
        pyinit, and a shell finds everything ready for job control.

        Raises:
            OSError: there can be no further process.
        """
        self._settings = settings
        user = settings.user
        words = [word.encode("utf-8", "surrogateescape") for word in settings.argv]
        paths, failure = find_program(words[0], user is not None)
        self.takes_terminal, self.leads_session = make_room(settings.session)
        """Whether it is given the terminal's foreground: Ctrl-C then reaches it, and not us; and whether it leads a
        session of its own."""
        environment.restore()
        variables = environment.naming(posix.getpid())
        try:
            # exec closes the child's end, and the parent reads the end of file; or else why exec failed.
            self._receiver, sender = posix.pipe2(posix.O_CLOEXEC)
            wait, self._go = posix.pipe2(posix.O_CLOEXEC)
            self.started = time.monotonic()
            self.pid = posix.fork()
        except OSError as error:
            raise OSError(error.errno, f"cannot start a process: {error.strerror}") from None
        if self.pid == 0:
            step, path, reason = _LEAD, b"", b""
            try:
                posix.close(self._go)
                lead(self.takes_terminal, self.leads_session)
                if user:
                    step = _BECOME_USER
                    user.assume()
                step = _EXECUTE
                environment.name_caller(variables)
                if ignore_children:
                    signals.ignore_children()
                if self.takes_terminal:  # or Ctrl-Z would stop the child before the exec that pyinit waits for
                    signals.catch(signals.TERMINAL_STOPS)
                if not posix.read(wait, 1):  # pyinit has ended
                    posix._exit(125)  # not reached: pyinit has to die within microseconds
                posix.close(wait)  # a descriptor for a look at the program
                signals.restore(mask)
                failure, path = _execute(paths, words, failure)
            except OSError as error:
                failure = error.errno or errno.EINVAL
            except BaseException:  # not reached: no memory is left in the child
                step, failure = _EXECUTE, errno.ENOMEM
            try:
                signals.block()  # or one might end us before we have said why
                if step == _EXECUTE:
                    from .explain import explain

                    reason = explain(words, path, failure).encode("utf-8", "surrogateescape")
            except BaseException:  # not reached: no memory, no descriptor: the errno has to do
                pass
            posix.writev(sender, [bytes((failure, step)), reason[:_MOST]])
            posix._exit(127)
        posix.close(wait)
        posix.close(sender)

    def release(self) -> None:
        """Keep nothing of what the workload was given, and only then let it run. Raises OSError."""
        let_go()
        let_run(self._go)

    @property
    def name(self) -> str:
        """The program's name without its folder."""
        return self._settings.argv[0].rpartition("/")[2] or self._settings.argv[0]

    def await_program(self) -> None:
        """Return when the program runs: a signal that came before has waited for it, and did not end the child.

        This wait is long only if the child is stopped between its last two steps, or if a file system hangs.

        Raises:
            CannotExecute: it could not be executed.
            CannotBecomeUser: not as the user that was asked for.
            OSError: it could not have a session of its own.
        """
        if self._receiver < 0:  # it runs, and memory has run out since
            return
        report = posix.read(self._receiver, 2 + _MOST)
        posix.close(self._receiver)
        self._receiver = -1
        if not report:
            return
        posix.waitpid(self.pid, 0)
        if self.takes_terminal:
            from . import job_control

            job_control.take_back(self.pid, is_over=True)
        from .failures import CannotBecomeUser, CannotExecute

        failure, step = report[:2]
        if step == _LEAD:
            # not reached: setsid(2) cannot fail right after fork
            raise OSError(failure, f"cannot start a session: {posix.strerror(failure)}")
        if step == _BECOME_USER and self._settings.user:
            user = self._settings.user
            raise CannotBecomeUser(f"cannot run as user '{user.text}': {user.why_not(failure)}")
        raise CannotExecute(self._settings.argv[0], failure, report[2:].decode("utf-8", "surrogateescape"))


def find_program(program: bytes, by_another: bool = False) -> "tuple[list[bytes], int]":
    """The paths at which execvp(3) would find the program; and the errno if there is none.

    `by_another`: another user will execute it, and may have access where we have none.
    """
    named_by_path = b"/" in program
    paths = []
    failure = errno.ENOENT
    for path in environment.candidates(program):
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
    """Before the fork: give up a terminal that the workload gets; return whether it gets one, and leads a session."""
    takes_terminal = _owns_terminal()
    if not wants_session:
        return takes_terminal, False
    from . import session

    leads_session = session.can_be_led()
    return takes_terminal and (not leads_session or session.release_terminal()), leads_session


def _owns_terminal() -> bool:
    """Whether standard input is our controlling terminal, with our process group in its foreground.

    Only standard input counts, as with tini: in ``pyinit ... </dev/null | less`` the terminal is for less. Below a
    shell it is for less in ``pyinit ... | less``, too: both are in the foreground group, and the workload gets the
    terminal once it tries to read it (`job_control`), which it could not show with SIGTTIN ignored.
    """
    try:
        if not posix.get_inheritable(0):  # it is closed, and the log has its number
            return False
        group = posix.tcgetpgrp(0)
    except OSError:  # ENOTTY, EBADF
        return False
    if group != posix.getpgrp() or not (posix.getpid() == 1 or posix.isatty(1) or signals.is_ignored(signals.TTIN)):
        return False
    if group:
        return True
    from . import job_control  # both groups are outside our PID namespace, and may be two

    return job_control.owns_foreground()


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
    except OSError:  # not reached: only in a sandbox: right after fork it cannot fail otherwise
        return
    if takes_terminal:
        try:
            posix.tcsetpgrp(0, posix.getpid())  # SIGTTOU, which would stop us, is blocked
        except OSError:  # not reached: the terminal has hung up, and the program will notice
            pass


def _execute(paths: "list[bytes]", words: "list[bytes]", failure: int) -> "tuple[int, bytes]":
    """Do as execvp(3) does; returns only if that fails, with the errno and the path that explains it."""
    is_path = b"/" in words[0]
    culprit = words[0] if is_path else b""
    for path in paths:
        try:
            posix.execv(path, words)
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code == errno.ENOEXEC:
            from .program_file import is_for_shell

            if is_for_shell(path):
                try:
                    posix.execv(b"/bin/sh", [b"/bin/sh", path, *words[1:]])
                except OSError as error:
                    code = error.errno or errno.EINVAL
        if is_path or code not in _LOOK_ON:
            return code, path
        if not culprit or code == errno.EACCES != failure:
            culprit = path
        if code == errno.EACCES:  # look on, but remember that there was one
            failure = code
    return failure, culprit


def let_go() -> None:
    """Keep nothing that was inherited: a directory could not be unmounted, a pipe would never reach its end.

    Our own descriptors are those that exec(2) closes, unlike any that we were given. A file on which we hold a record
    lock stays open: that lock belongs to our pid, and ends when we close any descriptor of that file (fcntl(2)).
    """
    try:
        posix.chdir("/")
    except OSError:  # not reached: EACCES: a root folder that is closed to us; no reason to end
        pass
    try:
        numbers = [int(name) for name in posix.listdir("/proc/self/fd")]
    except OSError:  # without /proc, try each number that there could be
        numbers = list(range(min(posix.sysconf("SC_OPEN_MAX"), 65536)))
    inherited = []
    for number in numbers:
        try:
            if posix.get_inheritable(number):
                inherited.append(number)
        except OSError:  # EBADF: nothing, or the one that listed the folder
            pass
    if max(inherited, default=0) > 2:
        from . import record_locks

        for number in {number for number in inherited if number > 2} - record_locks.holding(inherited):
            try:
                posix.close(number)
            except OSError:  # not reached: what was written could not be stored (close(2)); it is closed
                pass
    if 0 in inherited:  # and not one of our files, which have its number where it came closed
        reserves.allow_giving_up_stdin()


def let_run(go: int) -> None:
    """Let the child run that waits at the other end of this pipe.

    With writev(2): a sandbox that refuses write(2) refuses our log lines too, so we could not say why we end.

    Raises:
        OSError: a sandbox refuses.
    """
    try:
        posix.writev(go, [b"+"])
    except BrokenPipeError:  # it has failed already, and `await_program` says how; or it has exited
        pass
    except OSError as error:  # not reached: takes a sandbox that refuses writev(2): container tests
        raise OSError(error.errno, f"cannot start a process: {error.strerror}") from None
    posix.close(go)
