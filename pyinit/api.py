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

    from .options import Options

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


def run(argv: "Sequence[Word]", **options: "Unpack[Keywords]") -> "NoReturn":
    """Turn the calling process into the init of the workload `argv`, PROGRAM and its arguments. Never returns.

    `options` are the long options, with ``_`` for ``-``: ``run(["gunicorn", "app:app"], drain_timeout=10)``. Durations
    are in seconds; an option without a value is given as True; ``verbose`` may be a number; what may be repeated may be
    a list. None and False are as good as not given, and then the environment variables count.

    What the process has, it keeps: its pid; environment, working directory, umask, limits, inheritable descriptors,
    signal mask and ignored signals, which the workload gets; and children, which it reaps. What it ran is over: no
    ``finally``, no ``atexit``; standard output and standard error are flushed. From there on it is as if the installed
    command had been run, and the exit statuses are those: 127 if PROGRAM is not found, for one.

    Raises:
        TypeError: there is no such option, or `argv` is no list of words.
        ValueError: the value of an option, or of an environment variable, is malformed.
        RuntimeError: other threads or an event loop are running, whose work would be lost.
        OSError: no new interpreter can be started. The process is as it was.
    """
    if isinstance(argv, str | bytes):
        raise TypeError("pyinit.run: argv is a list of words, not one string")
    words = [os.fsencode(word) for word in argv]
    if any(b"\0" in word for word in words):
        raise ValueError("pyinit.run: a null character in argv")
    flags, _ = _read("run", options, [os.fsdecode(word) for word in words])
    _refuse_company("run")
    from . import signals
    from .__main__ import start_over

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # closed, or nobody reads it
            pass
    mask = signals.block()
    try:
        start_over("pyinit", [*flags, "--", *words], mask)
    finally:
        signals.restore(mask)


def relaunch_if_pid1(**options: "Unpack[Keywords]") -> None:
    """Where the caller is PID 1, part from it: PID 1 stays behind as the init, and the caller goes on as its child.

    For the first line of an application. `options` are those of `run`. In the application nothing has changed but its
    pid, its parent, and that it leads a process group of its own, which has the terminal if PID 1 had it; with
    ``session`` and ``user`` also what these say. PID 1 is a new interpreter with nothing of the application in it, and
    the application goes on when that is ready, as soon as a bare interpreter starts. Elsewhere this returns at once.

    Raises:
        TypeError: there is no such option.
        ValueError: the value of an option, or of an environment variable, is malformed.
        RuntimeError: other threads, an event loop or processes of `multiprocessing` are running, which cannot be taken
            along (fork(2)).
        OSError: there can be no process, no such user, or no new interpreter. The caller is still PID 1.
    """
    if os.getpid() == 1:
        flags, chosen = _read("relaunch_if_pid1", options, sys.orig_argv)
        _refuse_company("relaunch_if_pid1")
        _refuse_processes()
        _part([*flags, "--", *sys.orig_argv], chosen)


def _read(function: str, keywords: "Mapping[str, object]", argv: "list[str]") -> "tuple[list[str], Options]":
    """The keywords as options of a command line, and what they mean there."""
    from . import options

    known = {row.long.replace("-", "_"): row for row in options.TABLE if row.long not in ("help", "license", "version")}
    flags: list[str] = []
    for keyword, value in keywords.items():
        row = known.get(keyword)
        if row is None:
            raise TypeError(f"pyinit.{function}: there is no option {keyword!r}")
        if value is None or value is False:
            continue
        if row.metavar:
            values = value if isinstance(value, list | tuple) else [value]
            flags += [f"--{row.long}={_text(one)}" for one in values]
        elif isinstance(value, int) and (keyword == "verbose" or value is True):
            flags += [f"--{row.long}"] * int(value)
        else:
            raise TypeError(f"pyinit.{function}: {keyword} is True or not given, not {value!r}")
    try:
        return flags, options.parse([*flags, "--", *argv], os.environb)
    except options.UsageError as error:
        raise ValueError(f"pyinit.{function}: {error}") from None


def _text(value: object) -> str:
    """A value as the command line has it: a number without exponent, a signal as its number."""
    if isinstance(value, float):
        return f"{value:.9f}"
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _refuse_company(function: str) -> None:
    """Refuse to go on where something else is running in this process."""
    asyncio = sys.modules.get("asyncio")
    if asyncio and asyncio._get_running_loop():
        raise RuntimeError(f"pyinit.{function}: an event loop is running; call it before that is started")
    from time import monotonic, sleep

    until = monotonic() + 0.1
    while (threads := _count_threads()) > 1:
        if monotonic() > until:
            raise RuntimeError(
                f"pyinit.{function}: {_other_threads(threads - 1)}; call it before anything starts a thread"
            )
        sleep(0.001)  # one that has been joined may take a moment to be gone


def _count_threads() -> int:
    """How many threads the kernel sees in this process: also those that Python knows nothing of."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        threading = sys.modules.get("threading")
        return threading.active_count() if threading else 1


def _other_threads(count: int) -> str:
    threading = sys.modules.get("threading")
    others = [one for one in threading.enumerate() if one is not threading.current_thread()] if threading else []
    names = [one.name for one in others]
    if len(names) < count:
        names.append(f"{count - len(names)} not of Python")
    return f"{'another thread is' if count == 1 else 'other threads are'} running ({', '.join(names)})"


def _refuse_processes() -> None:
    """Refuse to go on where `multiprocessing` has processes that it expects to be its children."""
    process = sys.modules.get("multiprocessing.process")
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    server = sys.modules.get("multiprocessing.forkserver")
    if (
        (process and process.active_children())
        or (tracker and tracker._resource_tracker._pid)
        or (server and server._forkserver._forkserver_pid)
    ):
        raise RuntimeError(
            "pyinit.relaunch_if_pid1: multiprocessing has started processes; call it before they are started"
        )


def _part(words: "list[str]", chosen: "Options") -> None:
    """Fork: the child returns, once the parent is the init of this command line.

    All signals are blocked meanwhile. What comes to PID 1 stays pending through its exec (execve(2)), and is forwarded.
    """
    from time import monotonic

    from . import adopted, signals, terminal, workload  # all here: behind the fork it would be in the way
    from .__main__ import start_over

    mask = signals.block()
    pipes: list[int] = []
    try:
        pipes += os.pipe()
        pipes += os.pipe()
        failed, fail, wait, go = pipes
        takes_terminal, leads_session = place = workload.make_room(chosen.session)
        started = monotonic()
        pid = os.fork()
        if pid == 0:
            _become_application(chosen, place, pipes)
            return
        for fd in (fail, wait):
            os.close(fd)
            pipes.remove(fd)
        try:
            if code := os.read(failed, 1):
                raise OSError(code[0], f"the application cannot be put in its place: {os.strerror(code[0])}")
            if signals.is_ignored(signals.CHLD):
                signals.hear_of_children()  # or the kernel would reap the application, should it die now (wait(2))
            while go < 3:  # the standard descriptors, where they were closed: the init does not let go of them
                pipes.append(go := os.dup(go))
            os.set_inheritable(go, True)
            start_over("pyinit", words, (), adopted.describe(pid, started, takes_terminal, leads_session))
        except BaseException:
            os.close(failed)
            pipes.remove(failed)
            _give_up_application(pid, go)
            if leads_session:
                from . import session

                session.regain_terminal()
            elif takes_terminal:
                terminal.take_back(pid, is_over=True)
            raise
    except BaseException:
        for fd in pipes:
            os.close(fd)
        raise
    finally:
        signals.restore(mask)


def _become_application(chosen: "Options", place: "tuple[bool, bool]", pipes: "list[int]") -> None:
    """In the child: take its place, and wait for the init. Ends the process if there will be none."""
    from . import workload

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
        is_complete = not os.read(wait, 1)  # nothing: the init has let go of what it inherited
        os.close(wait)
    finally:
        if not is_complete:
            os._exit(125)


def _give_up_application(pid: int, go: int) -> None:
    """End the child that waits for an init, if it does."""
    try:
        os.write(go, b"-")
    except BrokenPipeError:
        pass
    os.waitpid(pid, 0)
