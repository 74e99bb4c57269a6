"""The Python API: `run` and `relaunch_if_pid1`, the functions of ``import pyinit``.

Both replace PID 1 with a new, isolated interpreter, as the installed command would. Not part of the core. Every
application that imports pyinit pays for the imports of this module, so it imports only what any interpreter has loaded.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal, NoReturn, TypedDict, Unpack

    from .options.settings import Settings

    Word = str | bytes | os.PathLike[str] | os.PathLike[bytes]

    class Keywords(TypedDict, total=False):
        """The long options. Durations are in seconds; signals are names or numbers; repeatable options take lists."""

        process_group: bool
        single_child: bool
        forward_to: Literal["child", "group", "all"]
        rewrite: str | Sequence[str]
        session: bool
        stop_timeout: float
        drain_timeout: float
        wait_for: Literal["main", "all"]
        orphans: Literal["keep", "terminate"]
        remap_exit: int | str | Sequence[int | str]
        subreaper: bool
        parent_death_signal: int | str
        user: int | str
        pause: bool
        warn_on_reap: bool
        zombie_watch: float
        verbose: int
        quiet: bool
        log_format: Literal["text", "json"]
        exit_report: Literal["never", "abnormal", "always"]
        termination_log: str | os.PathLike[str]


def run(argv: "Sequence[Word]", **options: "Unpack[Keywords]") -> "NoReturn":
    """Turn the calling process into the init of the workload `argv`, PROGRAM and its arguments. Never returns.

    `options` are the long options, with ``_`` for ``-``: ``run(["gunicorn", "app:app"], drain_timeout=10)``. Durations
    are in seconds; True sets an option that takes no value; ``verbose`` takes a number, too; a repeatable option takes
    a list, too. None and False leave an option unset, and its environment variable is honoured.

    The process keeps its pid and its children, which it reaps. The workload gets its environment, working directory,
    umask, limits, inheritable descriptors, signal mask and ignored signals. No ``finally`` clause or ``atexit`` handler
    runs; of the open files only standard output and standard error are flushed. The exit statuses are those of the
    installed command: 127 if PROGRAM is not found, for example.

    Raises:
        TypeError: there is no such option, or `argv` is not a list of words.
        ValueError: the value of an option or of an environment variable is malformed.
        RuntimeError: other threads or an event loop are running; their work would be lost.
        OSError: no new interpreter can be started. The process is unchanged, except for what an interpreter adds to the
            environment in the C locale.
    """
    if isinstance(argv, str | bytes):
        raise TypeError("pyinit.run: argv is a list of words, not one string")
    words = [os.fsencode(word) for word in argv]
    if any(b"\0" in word for word in words):
        raise ValueError("pyinit.run: a null character in argv")
    flags, _ = _read("run", options, [os.fsdecode(word) for word in words])
    _refuse_company("run")
    from .__main__ import start_over
    from .kernel import signals

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # it is closed, or its reader has exited
            pass
    mask = signals.blocked()
    try:
        signals.block()  # may raise: Python runs the handlers of pending signals now
        start_over("pyinit", [*flags, "--", *words], mask)
    finally:
        signals.restore(mask)


def relaunch_if_pid1(**options: "Unpack[Keywords]") -> None:
    """If the caller is PID 1, fork: PID 1 becomes the init, and the caller continues as its child.

    Call it first in an application. `options` are those of `run`. The application sees only what a fork changes (its
    pid and parent; record locks stay with PID 1). It leads a process group of its own, which is in the foreground of
    the terminal if PID 1 was; ``session`` and ``user`` change what they say. PID 1 becomes a new interpreter without
    any of the application's memory. The application continues when the init is ready, after about the time in which a
    bare interpreter starts. If the caller is not PID 1, this does nothing.

    Raises:
        TypeError: there is no such option.
        ValueError: the value of an option or of an environment variable is malformed.
        RuntimeError: other threads, an event loop or processes of `multiprocessing` are running; a fork would not take
            them along (fork(2)).
        OSError: no process or no new interpreter can be started, or the user cannot be assumed. The caller is still
            PID 1.
    """
    if os.getpid() == 1:
        name = _own_name()
        flags, settings = _read("relaunch_if_pid1", options, [name])
        _refuse_company("relaunch_if_pid1")
        _refuse_processes()
        _fork_application([*flags, "--", name], settings)


def _own_name() -> str:
    """The usual name of this program: ``app.py``, ``gunicorn``; for ``python -m package``, the package."""
    folder, name = os.path.split(sys.argv[0] if sys.argv else "")
    if name == "__main__.py":
        name = os.path.basename(folder)
    return name if name[:1] not in ("", "-") else os.path.basename(sys.executable or "python")


def _read(function: str, keywords: "Mapping[str, object]", argv: "list[str]") -> "tuple[list[str], Settings]":
    """The keywords as flags of a command line, and the settings of that command line."""
    from .options import table
    from .options.table import UsageError

    known = {row.long.replace("-", "_"): row for row in table.TABLE if row.field != "show"}
    flags: list[str] = []
    for keyword, value in keywords.items():
        row = known.get(keyword)
        if row is None:
            raise TypeError(f"pyinit.{function}: there is no option {keyword!r}")
        if value is None or value is False:
            continue
        values = value if isinstance(value, list | tuple) and row.add else [value]
        if row.metavar and all(isinstance(one, str | bytes | int | float | os.PathLike) for one in values):
            flags += [f"--{row.long}={_text(one)}" for one in values]
        elif value is True or (keyword == "verbose" and isinstance(value, int) and value >= 0):
            flags += [f"--{row.long}"] * int(value)
        else:
            raise TypeError(f"pyinit.{function}: {keyword} cannot be {value!r}")
    try:
        return flags, table.parse([*flags, "--", *argv], os.environb)
    except UsageError as error:
        raise ValueError(f"pyinit.{function}: {error}") from None


def _text(value: object) -> str:
    """A value as text for the command line: a number without an exponent, a signal as its number."""
    if isinstance(value, float):
        return f"{value:.9f}"
    if isinstance(value, bytes | os.PathLike):
        return os.fsdecode(value)
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _refuse_company(function: str) -> None:
    """Raise RuntimeError if an event loop or another thread is running in this process."""
    running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    if running_loop and running_loop():
        raise RuntimeError(f"pyinit.{function}: an event loop is running; call it before the loop is started")
    from time import monotonic, sleep

    until = monotonic() + 1
    while (count := _count_threads() - 1) and monotonic() < until:
        sleep(0.001)  # the kernel may still show a thread that has just been joined
    if count:
        threading = sys.modules.get("threading")
        known = [one.name for one in threading.enumerate() if one.ident != threading.get_ident()] if threading else []
        others = f"{count} other thread{'s are' if count > 1 else ' is'} running"
        names = f" (Python knows {', '.join(known)})" if known else ""
        raise RuntimeError(f"pyinit.{function}: {others}{names}; call it before anything starts a thread")


def _count_threads() -> int:
    """The number of threads of this process, including those that Python does not know of."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        threading = sys.modules.get("threading")
        return threading.active_count() if threading else 1


def _refuse_processes() -> None:
    """Raise RuntimeError if `multiprocessing` has processes that it expects to be its children."""
    children = getattr(sys.modules.get("multiprocessing.process"), "active_children", list)
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    if children() or getattr(tracker, "_pid", None) or getattr(server, "_forkserver_pid", None):
        raise RuntimeError(
            "pyinit.relaunch_if_pid1: multiprocessing has started processes; call it before they are started"
        )


def _fork_application(words: "list[str]", settings: "Settings") -> None:
    """Fork: the child returns once the parent has become the init with this command line.

    All signals are blocked meanwhile. A signal to PID 1 stays pending through its exec (execve(2)), and is forwarded.
    """
    from time import monotonic

    from .__main__ import start_over
    from .kernel import signals
    from .workload import adopted, process

    pipes: list[int] = []
    pid = 0
    mask = signals.blocked()
    try:
        signals.block()  # may raise: Python runs the handlers of pending signals now
        timers = signals.stop_timers()  # a child does not inherit them; exec preserves them (setitimer(2))
        ignores_children = signals.is_ignored(signals.CHLD)
        if ignores_children:
            signals.hear_of_children()  # or the kernel would reap the application for us (wait(2))
        takes_terminal, leads_session = place = process.make_room(settings.session)
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            failed, go = pipes[0], pipes[3]
            started = monotonic()
            pid = os.fork()
            if pid == 0:
                _become_application(settings, place, pipes)
                return
            os.close(pipes.pop(1))
            if code := os.read(failed, 1):
                reason = settings.user.why_not(code[0]) if settings.user else os.strerror(code[0])
                raise OSError(code[0], f"cannot set up the application: {reason}")
            os.set_inheritable(go, True)
            start_over("pyinit", words, (), adopted.describe(pid, started, takes_terminal, leads_session, go))
        except BaseException:
            _undo_fork(pid, pipes, place)
            raise
        finally:  # in the application, and if the fork failed
            if ignores_children:
                signals.ignore_children()
            signals.start_timers(timers)
    finally:
        signals.restore(mask)


def _undo_fork(pid: int, pipes: "list[int]", place: "tuple[bool, bool]") -> None:
    """Close the pipes, reap the child, and take the terminal back."""
    from .workload import job_control

    for fd in pipes:
        os.close(fd)
    if pid:
        os.waitpid(pid, 0)
    takes_terminal, leads_session = place
    if takes_terminal and leads_session:
        from .workload import session

        session.take_terminal()
    elif takes_terminal and pid:
        job_control.take_back(pid, is_over=True)


def _become_application(settings: "Settings", place: "tuple[bool, bool]", pipes: "list[int]") -> None:
    """In the child: set up its group, session and user, and wait for the init. Exits if PID 1 failed to become it."""
    from .workload import environment, process

    failed, fail, wait, go = pipes
    is_complete = False
    try:
        os.close(failed)
        os.close(go)
        try:
            process.lead(*place)
            if settings.user:
                settings.user.assume()
                os.environ.update(settings.user.variables)
        except OSError as error:
            os.write(fail, bytes([error.errno or 255]))
            raise
        for variable in environment.naming(1, os.environb):
            os.environb[variable] = str(os.getpid()).encode()
            if variable == environment.LISTENER:
                os.environb.pop(environment.LISTENER_ID, None)
        os.close(fail)
        is_complete = os.read(wait, 1) != b""  # end of file: PID 1 exited before it was the init
        os.close(wait)
    finally:
        if not is_complete:
            os._exit(125)
