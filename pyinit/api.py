"""The init from inside of Python: `run` and `relaunch_if_pid1`, the names that ``import pyinit`` gives.

Both leave PID 1 to a new interpreter, isolated and small, that is what the installed command is. No part of the core;
what is above the functions is on everyone's path, so it imports nothing that an interpreter has not loaded anyway.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal, NoReturn, TypedDict, Unpack

    from .options.settings import Options

    Word = str | bytes | os.PathLike[str] | os.PathLike[bytes]

    class Keywords(TypedDict, total=False):
        """The long options. Durations are in seconds; signals are names or numbers; what may be repeated is a list."""

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


_REPEATABLE = ("rewrite", "remap-exit")


def run(argv: "Sequence[Word]", **options: "Unpack[Keywords]") -> "NoReturn":
    """Turn the calling process into the init of the workload `argv`, PROGRAM and its arguments. Never returns.

    `options` are the long options, with ``_`` for ``-``: ``run(["gunicorn", "app:app"], drain_timeout=10)``. Durations
    are in seconds; an option without a value is given as True; ``verbose`` may be a number; what may be repeated may be
    a list. None and False are as good as not given, and then the environment variables count.

    What the process has, it keeps: its pid; environment, working directory, umask, limits, inheritable descriptors,
    signal mask and ignored signals, which the workload gets; and children, which it reaps. What it ran is over: no
    ``finally``, no ``atexit``; of the open files standard output and standard error are flushed. From there on it is as
    if the installed command had been run, and the exit statuses are those: 127 if PROGRAM is not found, for one.

    Raises:
        TypeError: there is no such option, or `argv` is no list of words.
        ValueError: the value of an option, or of an environment variable, is malformed.
        RuntimeError: other threads or an event loop are running, whose work would be lost.
        OSError: no new interpreter can be started. The process is as it was (but for what an interpreter adds to the
            environment in the C locale).
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
        except (AttributeError, OSError, ValueError):  # closed, or nobody reads it
            pass
    mask = signals.blocked()
    try:
        signals.block()  # may raise: what waited for a handler is handled now
        start_over("pyinit", [*flags, "--", *words], mask)
    finally:
        signals.restore(mask)


def relaunch_if_pid1(**options: "Unpack[Keywords]") -> None:
    """Where the caller is PID 1, part from it: PID 1 stays behind as the init, and the caller goes on as its child.

    For the first line of an application. `options` are those of `run`. In the application nothing has changed but what
    a fork changes (its pid and parent; record locks stay behind), and that it leads a process group of its own, which
    has the terminal if PID 1 had it; with ``session`` and ``user`` also what these say. PID 1 is a new interpreter with
    nothing of the application in it, and the application goes on when that is ready, as soon as a bare interpreter
    starts. Elsewhere this returns at once.

    Raises:
        TypeError: there is no such option.
        ValueError: the value of an option, or of an environment variable, is malformed.
        RuntimeError: other threads, an event loop or processes of `multiprocessing` are running, which cannot be taken
            along (fork(2)).
        OSError: there can be no process, no new interpreter, or the user cannot be had. The caller is still PID 1.
    """
    if os.getpid() == 1:
        name = _own_name()
        flags, chosen = _read("relaunch_if_pid1", options, [name])
        _refuse_company("relaunch_if_pid1")
        _refuse_processes()
        _part([*flags, "--", name], chosen)


def _own_name() -> str:
    """What people call this program: ``app.py``, ``gunicorn``; of ``python -m package`` the package."""
    folder, name = os.path.split(sys.argv[0] if sys.argv else "")
    if name == "__main__.py":
        name = os.path.basename(folder)
    return name if name[:1] not in ("", "-") else os.path.basename(sys.executable or "python")


def _read(function: str, keywords: "Mapping[str, object]", argv: "list[str]") -> "tuple[list[str], Options]":
    """The keywords as options of a command line, and what they mean there."""
    from .options import settings
    from .options import table as options

    known = {row.long.replace("-", "_"): row for row in options.TABLE if row.long not in ("help", "license", "version")}
    flags: list[str] = []
    for keyword, value in keywords.items():
        row = known.get(keyword)
        if row is None:
            raise TypeError(f"pyinit.{function}: there is no option {keyword!r}")
        if value is None or value is False:
            continue
        values = value if isinstance(value, list | tuple) and row.long in _REPEATABLE else [value]
        if row.metavar and all(isinstance(one, str | bytes | int | float | os.PathLike) for one in values):
            flags += [f"--{row.long}={_text(one)}" for one in values]
        elif value is True or (keyword == "verbose" and isinstance(value, int) and value >= 0):
            flags += [f"--{row.long}"] * int(value)
        else:
            raise TypeError(f"pyinit.{function}: {keyword} cannot be {value!r}")
    try:
        return flags, options.parse([*flags, "--", *argv], os.environb)
    except settings.UsageError as error:
        raise ValueError(f"pyinit.{function}: {error}") from None


def _text(value: object) -> str:
    """A value as the command line has it: a number without exponent, a signal as its number."""
    if isinstance(value, float):
        return f"{value:.9f}"
    if isinstance(value, bytes | os.PathLike):
        return os.fsdecode(value)
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _refuse_company(function: str) -> None:
    """Refuse to go on where something else is running in this process."""
    running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    if running_loop and running_loop():
        raise RuntimeError(f"pyinit.{function}: an event loop is running; call it before that is started")
    from time import monotonic, sleep

    until = monotonic() + 0.1
    while (count := _count_threads() - 1) and monotonic() < until:
        sleep(0.001)  # one that has been joined may take a moment to be gone
    if count:
        threading = sys.modules.get("threading")
        known = [one.name for one in threading.enumerate() if one.ident != threading.get_ident()] if threading else []
        others = f"{count} other thread{'s are' if count > 1 else ' is'} running"
        names = f" (Python knows {', '.join(known)})" if known else ""
        raise RuntimeError(f"pyinit.{function}: {others}{names}; call it before anything starts a thread")


def _count_threads() -> int:
    """How many threads the kernel sees in this process: also those that Python knows nothing of."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        threading = sys.modules.get("threading")
        return threading.active_count() if threading else 1


def _refuse_processes() -> None:
    """Refuse to go on where `multiprocessing` has processes that it expects to be its children."""
    children = getattr(sys.modules.get("multiprocessing.process"), "active_children", list)
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    if children() or getattr(tracker, "_pid", None) or getattr(server, "_forkserver_pid", None):
        raise RuntimeError(
            "pyinit.relaunch_if_pid1: multiprocessing has started processes; call it before they are started"
        )


def _part(words: "list[str]", chosen: "Options") -> None:
    """Fork: the child returns, once the parent is the init of this command line.

    All signals are blocked meanwhile. What comes to PID 1 stays pending through its exec (execve(2)), and is forwarded.
    """
    from time import monotonic

    from .__main__ import start_over
    from .kernel import signals
    from .workload import adopted
    from .workload import process as workload

    pipes: list[int] = []
    pid = 0
    mask = signals.blocked()
    try:
        signals.block()  # may raise: what waited for a handler is handled now
        timers = signals.stop_timers()  # a fork does not take them along, and an exec does
        ignores_children = signals.is_ignored(signals.CHLD)
        if ignores_children:
            signals.hear_of_children()  # or the kernel would reap the application in our place (wait(2))
        takes_terminal, leads_session = place = workload.make_room(chosen.session)
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            failed, go = pipes[0], pipes[3]
            started = monotonic()
            pid = os.fork()
            if pid == 0:
                _become_application(chosen, place, pipes)
                return
            os.close(pipes.pop(1))
            if code := os.read(failed, 1):
                raise OSError(code[0], f"the application cannot be put in its place: {os.strerror(code[0])}")
            os.set_inheritable(go, True)
            start_over("pyinit", words, (), adopted.describe(pid, started, takes_terminal, leads_session, go))
        except BaseException:
            _go_back(pid, pipes, place)
            raise
        finally:  # in the application, and where there is none
            if ignores_children:
                signals.ignore_children()
            signals.start_timers(timers)
    finally:
        signals.restore(mask)


def _go_back(pid: int, pipes: "list[int]", place: "tuple[bool, bool]") -> None:
    """Be without child and pipes again, and have the terminal."""
    from .workload import job_control as terminal

    for fd in pipes:
        os.close(fd)
    if pid:
        os.waitpid(pid, 0)
    takes_terminal, leads_session = place
    if takes_terminal and leads_session:
        from .workload import session

        session.regain_terminal()
    elif takes_terminal and pid:
        terminal.take_back(pid, is_over=True)


def _become_application(chosen: "Options", place: "tuple[bool, bool]", pipes: "list[int]") -> None:
    """In the child: take its place, and wait for the init. Ends the process if there will be none."""
    from .workload import process as workload

    failed, fail, wait, go = pipes
    is_complete = False
    try:
        os.close(failed)
        os.close(go)
        try:
            workload.lead(*place)
            if chosen.user:
                chosen.user.assume()
                os.environ.update(chosen.user.variables)
        except OSError as error:
            os.write(fail, bytes([error.errno or 255]))
            raise
        if os.environ.get("LISTEN_PID") == "1":  # PID 1 was to be the application (sd_listen_fds(3))
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.environ.pop("LISTEN_PIDFDID", None)
        os.close(fail)
        is_complete = os.read(wait, 1) != b""  # nothing: PID 1 has ended before it was the init, and so do we
        os.close(wait)
    finally:
        if not is_complete:
            os._exit(125)
