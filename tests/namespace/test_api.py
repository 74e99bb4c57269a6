"""The Python API: ``pyinit.run`` and ``pyinit.relaunch_if_pid1``, in a program that is PID 1."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from testing import EXAMPLES, ROOT
from testing.blocks import block
from testing.namespaces import INTERPRETER, UNSHARE, Container, clean_environment
from testing.processes import OWN_DESCRIPTORS, own_descriptors
from testing.waiting import PATIENCE

from .conftest import Start, await_counters

PAGE = ROOT / "docs" / "python.md"

StartProgram = Callable[..., Container]

SEND_WHEN_REPLACED = """if True:
    import os
    launcher = b".".join([b"launcher", b"py"])  # not in one piece: this text is on the command line before, too
    while launcher not in open("/proc/1/cmdline", "rb").read():
        pass
    os.kill(1, 15)
"""
"""Sends SIGTERM to PID 1 as soon as it is another program, which has only begun to start."""


@pytest.fixture
def library(bin_folder: Path) -> str:
    """The folder that pyinit is installed in."""
    return str(bin_folder.parent / "lib")


@pytest.fixture
def program(bare: Start, library: str, tmp_path: Path) -> StartProgram:
    """Start a Python program, given as text, as PID 1 of a namespace; `words` are its arguments."""

    def start(text: str, *words: str, **popen: object) -> Container:
        path = tmp_path / f"program{len(list(tmp_path.iterdir()))}.py"
        path.write_text(textwrap.dedent(text))
        variables = clean_environment(PYTHONPATH=library, **(popen.pop("variables", None) or {}))  # type: ignore[arg-type]
        return bare(INTERPRETER, str(path), *words, env=variables, **popen)

    return start


def test_an_installed_pyinit_still_explains_itself(library: str) -> None:
    """The modules compiled for PID 1 have no docstrings. The API has."""
    shown = subprocess.check_output(
        [INTERPRETER, "-c", "import pyinit; help(pyinit.run)"], env=clean_environment(PYTHONPATH=library), text=True
    )
    assert "Never returns." in shown and "Raises:" in shown and "Unpack[Keywords]" in shown, shown


def test_run_turns_pid_1_into_the_init(program: StartProgram) -> None:
    """The pid stays; the workload is a child, orphans are reaped, and the status is the workload's."""
    ended = program("""
        import pyinit
        orphan = "orphan=$(sh -c 'sleep 0.01 >/dev/null & echo $!'); while [ -e /proc/$orphan ]; do sleep 0.01; done"
        pyinit.run(["sh", "-c", f"echo $PPID; {orphan}; exit 7"], exit_report="always", verbose=1)
        print("never")
    """).end()
    assert (ended.status, ended.out) == (7, "1\n"), ended
    assert "1 orphan reaped" in ended.err, ended


def test_run_takes_words_of_all_kinds_byte_for_byte(program: StartProgram) -> None:
    """As `subprocess` does: text, bytes and paths."""
    ended = program("""
        import pathlib, pyinit
        pyinit.run([pathlib.Path("/bin/sh"), b"-c", 'printf "%s|" "$@" | od -An -c', "sh", b"\\xff", "", "--", "a b"])
    """).end()
    assert ended.out.split() == ["377", "|", "|", "-", "-", "|", "a", "b", "|"], ended


def test_run_keeps_the_state_of_the_process(program: StartProgram, tmp_path: Path) -> None:
    """Environment, working directory, umask, limits, signal mask and ignored signals, as they are at the call."""
    ended = program(
        """
        import os, pyinit, resource, signal, sys
        os.environ["ADDED"] = "yes"
        os.chdir(sys.argv[1])
        os.umask(0o27)
        resource.setrlimit(resource.RLIMIT_CORE, (7, 7))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGRTMIN])
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, print)
        show = 'echo "$ADDED $PWD $(umask)"; ulimit -c; grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status'
        pyinit.run(["bash", "-c", show])
        """,
        str(tmp_path),
    ).end()
    lines = ended.out.split("\n")
    assert lines[0] == f"yes {tmp_path} 0027", ended
    masks = {name: int(value, 16) for name, value in re.findall(r"Sig(\w+):\s+(\w+)", ended.out)}
    assert masks["Blk"] == 1 << signal.SIGUSR1 - 1 | 1 << signal.SIGRTMIN - 1, ended
    assert masks["Ign"] & 1 << signal.SIGHUP - 1, ended
    assert not masks["Ign"] & (1 << signal.SIGTERM - 1 | 1 << signal.SIGPIPE - 1), ended


def test_run_loses_no_buffered_output(program: StartProgram) -> None:
    """Buffers are lost in execve(2) unless they are flushed."""
    ended = program("import pyinit; print('first'); pyinit.run(['echo', 'second'])").end()
    assert ended.out == "first\nsecond\n", ended


def test_a_signal_that_comes_while_run_starts_over_reaches_the_workload(program: StartProgram) -> None:
    """A new interpreter as PID 1 would ignore it for milliseconds."""
    ended = program(
        """
        import pyinit, subprocess, sys
        subprocess.Popen([sys.executable, "-ISc", sys.argv[1]])
        pyinit.run(["sleep", "100"])
        """,
        SEND_WHEN_REPLACED,
    ).end()
    assert ended.status == 128 + signal.SIGTERM, ended


def test_run_ends_as_the_command_does_when_there_is_no_program(program: StartProgram) -> None:
    """With 127 and one line."""
    ended = program("import pyinit; pyinit.run(['/no/such/program'])").end()
    assert (ended.status, ended.err) == (127, "pyinit: cannot find '/no/such/program': there is no folder '/no'\n"), (
        ended
    )


def test_run_can_pause(program: StartProgram) -> None:
    """It has all options of the command, also the one that takes no program."""
    container = program("import pyinit; pyinit.run([], pause=True)")
    container.await_rest()
    container.signal(signal.SIGTERM)
    assert container.end().status == 0


def test_run_makes_a_subreaper_if_not_pid_1(library: str) -> None:
    """Like the command."""
    program = """if True:
        import pyinit
        orphan = "orphan=$(sh -c 'sleep 0.2 >/dev/null & echo $!'); echo $orphan"
        pyinit.run(["sh", "-c", f"{orphan}; while [ -e /proc/$orphan ]; do sleep 0.01; done"], warn_on_reap=True)
    """
    command = [*UNSHARE, "sh", "-c", '"$@"; echo "status $?"', "sh", INTERPRETER, "-c", program]
    ended = Container(command, env=clean_environment(PYTHONPATH=library)).end()
    orphan, status = ended.out.split("\n")[:2]
    assert status == "status 0", ended
    assert f"reaped pid {orphan} (sleep)" in ended.err, ended


def test_an_application_goes_on_as_a_child_of_pid_1(program: StartProgram) -> None:
    """It goes on where it was. Its parent is an init that reaps its orphans and ends with its status."""
    ended = program(
        """
        import os, subprocess, sys, time
        sys.stdout.write("buffered ")
        import pyinit
        assert os.getpid() == 1
        pyinit.relaunch_if_pid1(exit_report="always")
        assert os.getpid() != 1 == os.getppid()
        print(sys.argv[1:], os.path.basename(sys.argv[0]), flush=True)
        orphan = int(subprocess.check_output(["sh", "-c", "sleep 0.01 >/dev/null & echo $!"]))
        while os.path.exists(f"/proc/{orphan}"):
            time.sleep(0.01)
        raise SystemExit(7)
        """,
        "one",
        "two",
    ).end()
    assert (ended.status, ended.out) == (7, "buffered ['one', 'two'] program0.py\n"), ended
    assert re.search(r"pyinit: program0.py \(pid \d+\) exited with 7 .*; 1 orphan reaped", ended.err), ended


def test_an_application_that_is_not_pid_1_just_goes_on() -> None:
    """Nothing is checked, not even the options, and hardly anything is loaded."""
    program = """if True:
        import os, sys
        before = set(sys.modules)
        pid = os.getpid()
        import pyinit
        pyinit.relaunch_if_pid1(drain_timeout=1)
        assert os.getpid() == pid
        print(sorted(set(sys.modules) - before))
    """
    shown = subprocess.check_output([INTERPRETER, "-c", program], cwd=ROOT, text=True)
    assert shown == "['pyinit', 'pyinit.api', 'pyinit.version']\n"


def test_the_application_keeps_its_signal_handling(program: StartProgram) -> None:
    """Handlers, ignored signals and the mask. A signal that arrives meanwhile waits, and reaches the handler."""
    ended = program(
        """
        import os, pyinit, signal, subprocess, sys, time
        seen = []
        signal.signal(signal.SIGTERM, lambda number, frame: seen.append(os.getpid()))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        def state():
            return [str(signal.getsignal(n)) for n in signal.valid_signals()], signal.pthread_sigmask(0, [])
        before = state()
        subprocess.Popen([sys.executable, "-ISc", sys.argv[1]])
        pyinit.relaunch_if_pid1()
        assert state() == before, (before, state())
        until = time.monotonic() + 100
        while not seen and time.monotonic() < until:
            time.sleep(0.01)
        print(seen == [os.getpid()])
        """,
        SEND_WHEN_REPLACED,
    ).end()
    assert (ended.status, ended.out) == (0, "True\n"), ended


def test_pid_1_has_nothing_of_the_application(program: StartProgram, start: Start, tmp_path: Path) -> None:
    """Neither its memory (a million objects), nor its descriptors, nor its working directory."""
    held = tmp_path / "held"
    held.touch()
    parted = program(
        """
        import os, pyinit, sys
        os.set_inheritable(os.open(sys.argv[1], os.O_RDONLY), True)
        os.chdir(os.path.dirname(sys.argv[1]))
        memory = [str(number) for number in range(1_000_000)]  # 57 MB
        pyinit.relaunch_if_pid1()
        print("ready", flush=True)
        sys.stdin.readline()
        """,
        str(held),
        stdin=subprocess.PIPE,
    )
    plain = start("--", "sh", "-c", "echo ready; read -r line", stdin=subprocess.PIPE)

    def private_dirty(container: Container) -> int:
        container.expect("ready")
        await_counters(container)  # by then it has loaded all that it will need
        container.await_rest()
        rollup = Path(f"/proc/{container.init}/smaps_rollup").read_text()
        return int(re.findall(r"Private_Dirty: +(\d+)", rollup)[0])

    assert private_dirty(parted) < 1.1 * private_dirty(plain)
    assert own_descriptors(parted.init) == OWN_DESCRIPTORS
    assert os.readlink(f"/proc/{parted.init}/cwd") == "/"
    parted.say()
    assert parted.end().status == 0


def test_the_terminal_is_the_applications(library: str) -> None:
    """Its group is in the foreground: Ctrl-C raises KeyboardInterrupt in the application, and never in PID 1."""
    program = """if True:
        import os, pyinit, time
        pyinit.relaunch_if_pid1()
        assert os.tcgetpgrp(0) == os.getpgrp() == os.getpid()
        assert input("name? ") == "x"
        try:
            print("ready", flush=True)
            time.sleep(100)
        except KeyboardInterrupt:
            print("interrupted")
            raise SystemExit(4)
    """
    arguments = ["--pid", "--fork", "--mount-proc", "--kill-child", INTERPRETER, "-c", program]
    environment = {**os.environ, "PYTHONPATH": library}
    terminal = pexpect.spawn("unshare", arguments, timeout=PATIENCE, env=environment)
    terminal.expect_exact("name? ")
    terminal.sendline("x")
    terminal.expect_exact("ready")
    terminal.sendintr()
    terminal.expect_exact("interrupted")
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 4


def test_an_application_can_have_a_session_and_a_user(program: StartProgram) -> None:
    """Like the workload of the command, with HOME and USER of that user."""
    ended = program("""
        import os, pyinit
        pyinit.relaunch_if_pid1(session=True, user=4242)
        print(os.getsid(0) == os.getpid(), os.getresuid(), os.getgroups(), os.environ["HOME"], os.environ["USER"])
    """).end()
    assert ended.out == "True (4242, 4242, 4242) [4242] / 4242\n", ended


def test_an_application_of_another_user_can_open_its_standard_streams(program: StartProgram) -> None:
    """By path, like the workload of the command."""
    ended = program("""
        import os, pyinit
        pyinit.relaunch_if_pid1(user=4242)
        print([os.fstat(number).st_uid for number in (1, 2)])
    """).end()
    assert ended.out == "[4242, 4242]\n", ended


def test_variables_that_name_a_process_name_the_application(program: StartProgram) -> None:
    """As sd_listen_fds(3) requires, so that the application may use what was passed. Other values stay."""
    text = """
        import os, pyinit, subprocess
        pyinit.relaunch_if_pid1()
        own = str(os.getpid())
        names = ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"]
        print([os.environ[name].replace(own, "own") for name in names], "LISTEN_PIDFDID" in os.environ, flush=True)
        subprocess.run(["sh", "-c", "echo $WATCHDOG_PID $LISTEN_PIDFDID | sed s/^$PPID/own/"])
    """
    variables = {"LISTEN_PID": "1", "LISTEN_PIDFDID": "1234", "WATCHDOG_PID": "1", "SYSTEMD_EXEC_PID": "77"}
    assert program(text, variables=variables).end().out == "['own', 'own', '77'] False\nown\n"


@pytest.mark.parametrize("become", ["relaunch_if_pid1()", "run(['true'])"])
def test_the_init_warns_of_a_misspelt_variable(program: StartProgram, become: str) -> None:
    """Once, though the API reads the options before the init does."""
    ended = program(f"import pyinit; pyinit.{become}", variables={"PYINIT_STOP_TIMOUT": "5"}).end()
    line = "pyinit: unknown environment variable PYINIT_STOP_TIMOUT; did you mean PYINIT_STOP_TIMEOUT?\n"
    assert (ended.status, ended.err) == (0, line)


@pytest.mark.parametrize("become", ["relaunch_if_pid1()", "run(['sh', '-c', 'echo ready; read -r line'])"])
def test_a_record_lock_stays_with_pid_1(program: StartProgram, tmp_path: Path, become: str) -> None:
    """If its descriptor is inheritable; other descriptors are closed by exec."""
    file = tmp_path / "lock"
    file.touch()
    container = program(
        f"""
        import fcntl, os, pyinit, sys
        fd = os.open({str(file)!r}, os.O_RDWR)
        os.set_inheritable(fd, True)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        pyinit.{become}
        print("ready", flush=True)
        sys.stdin.readline()
        """,
        stdin=subprocess.PIPE,
    )
    container.expect("ready")
    with file.open("r+") as opened, pytest.raises(BlockingIOError):
        fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    container.say()
    assert container.end().status == 0


@pytest.mark.skipif(int(signal.SIGRTMIN) != 34, reason="the library needs glibc")
@pytest.mark.parametrize(
    "become",
    ["relaunch_if_pid1()", "run([sys.executable, '-c', watched])"],
    ids=["relaunch_if_pid1", "run"],
)
def test_systemds_watchdog_expects_the_application_to_ping(program: StartProgram, become: str) -> None:
    """By systemd's own library, sd_watchdog_enabled(3)."""
    text = f"""
        import pyinit, sys
        watched = "import ctypes; print(ctypes.CDLL('libsystemd.so.0').sd_watchdog_enabled(0, None))"
        pyinit.{become}
        exec(watched)
    """
    assert program(text, variables={"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}).end().out == "1\n"


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_works_after_it(program: StartProgram, method: str) -> None:
    """With each start method. Two of them run the first line of the program again."""
    ended = program(
        """
        import pyinit
        pyinit.relaunch_if_pid1(drain_timeout=60)  # multiprocessing's own processes end after it
        import multiprocessing, os, sys

        def work(number):
            return number * number

        if __name__ == "__main__":
            multiprocessing.set_start_method(sys.argv[1])
            with multiprocessing.Pool(2) as pool:
                print(pool.map(work, range(4)))
                pool.close()
                pool.join()
        """,
        method,
    ).end()
    assert (ended.status, ended.out, ended.err) == (0, "[0, 1, 4, 9]\n", ""), ended


THREAD = "import threading, time; threading.Thread(target=time.sleep, args=[100], name='poller', daemon=True).start()"
NATIVE = """if True:
    import ctypes
    library = ctypes.CDLL(None)
    library.pthread_create(ctypes.byref(ctypes.c_ulong()), None, library.pause, None)
"""
LOOP = "import asyncio; asyncio.set_event_loop(None); asyncio._set_running_loop(asyncio.new_event_loop())"
PROCESSES = "import multiprocessing as m, time; m.get_context('fork').Process(target=time.sleep, args=[100]).start()"
CANNOT_BECOME = "import os, pyinit.workload.user as u; u.User.assume = lambda user: os.chdir('/no/such/folder')"
NO_DESCRIPTORS = """if True:
    import pyinit.__main__, pyinit.workload.adopted, pyinit.options.table, resource
    import pyinit.workload.job_control, pyinit.workload.process
    resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))
"""
TRACKER = "from multiprocessing import resource_tracker; resource_tracker.ensure_running()"


@pytest.mark.parametrize(
    ("before", "call", "error"),
    [
        (
            THREAD,
            "run(['true'])",
            "RuntimeError: pyinit.run: 1 other thread is running (Python knows poller)",
        ),
        (
            THREAD,
            "relaunch_if_pid1()",
            "RuntimeError: pyinit.relaunch_if_pid1: 1 other thread is running (Python knows poller)",
        ),
        (NATIVE, "relaunch_if_pid1()", "RuntimeError: pyinit.relaunch_if_pid1: 1 other thread is running"),
        (
            LOOP,
            "run(['true'])",
            "RuntimeError: pyinit.run: an event loop is running; call it before the loop is started",
        ),
        (LOOP, "relaunch_if_pid1()", "RuntimeError: pyinit.relaunch_if_pid1: an event loop is running"),
        (PROCESSES, "relaunch_if_pid1()", "RuntimeError: pyinit.relaunch_if_pid1: multiprocessing has started"),
        (TRACKER, "relaunch_if_pid1()", "RuntimeError: pyinit.relaunch_if_pid1: multiprocessing has started"),
        ("", "run('true')", "TypeError: pyinit.run: argv is a list of words, not one string"),
        ("", "run([])", "ValueError: pyinit.run: no program given"),
        ("", "run(['a'], pause=True)", "ValueError: pyinit.run: --pause takes no program"),
        ("", "run(['a\\0b'])", "ValueError: pyinit.run: a null character in argv"),
        ("", "run(['a'], help=True)", "TypeError: pyinit.run: there is no option 'help'"),
        ("", "relaunch_if_pid1(drain=3)", "TypeError: pyinit.relaunch_if_pid1: there is no option 'drain'"),
        ("", "relaunch_if_pid1(drain_timeout=[1, 2])", "relaunch_if_pid1: drain_timeout cannot be [1, 2]"),
        ("", "relaunch_if_pid1(session=2)", "TypeError: pyinit.relaunch_if_pid1: session cannot be 2"),
        ("", "relaunch_if_pid1(pause=True)", "ValueError: pyinit.relaunch_if_pid1: --pause takes no program"),
        ("", "relaunch_if_pid1(drain_timeout=-1)", "option --drain-timeout: '-1' is not a number of seconds"),
        ("", "relaunch_if_pid1(drain_timeout=True)", "option --drain-timeout: 'True' is not a number of seconds"),
        ("", "relaunch_if_pid1(user='nobody-here')", "option --user: there is no user 'nobody-here'"),
        ("import os; os.environ['PYINIT_SESSION'] = 'maybe'", "run(['a'])", "environment variable PYINIT_SESSION: "),
        ("import sys; sys.executable = '/gone'", "run(['a'])", "cannot start the interpreter '/gone' anew: No such"),
        (
            "import signal; signal.signal(17, signal.SIG_IGN); import sys; sys.executable = '/gone'",
            "relaunch_if_pid1()",
            "anew",
        ),
        (NO_DESCRIPTORS, "relaunch_if_pid1()", os.strerror(errno.EMFILE)),
        ("import sys; sys.orig_argv[2:3] = ['-Xname=a']", "run(['a'])", "is not an interpreter"),
        (
            "import pyinit; pyinit.__file__ = '/a.zip/__init__.py'",
            "run(['a'])",
            "cannot start /a.zip/launcher.py: ",
        ),
        ("import sys; sys.executable = None", "relaunch_if_pid1()", "cannot start the interpreter None anew: "),
        (CANNOT_BECOME, "relaunch_if_pid1(user=7)", "cannot set up the application: No such file or directory"),
    ],
)
def test_an_impossible_call_is_one_clear_error_and_changes_nothing(
    program: StartProgram, before: str, call: str, error: str
) -> None:
    """The caller can go on: it is still PID 1 with its signals, and no child is left."""
    text = f"""if True:
    import os, signal
    exec({before!r})
    import pyinit
    mask = signal.pthread_sigmask(0, [])
    descriptors = os.listdir("/proc/self/fd")
    try:
        pyinit.{call}
    except Exception as error:
        print(f"{{type(error).__name__}}: {{error}}", flush=True)
    assert os.getpid() == 1
    assert signal.pthread_sigmask(0, []) == mask
    assert os.listdir("/proc/self/fd") == descriptors
    if "multiprocessing" not in {before!r}:
        try:
            print("a child is left", os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT))
        except ChildProcessError:
            print("none is left", flush=True)
    os._exit(3)
    """
    ended = program(text, stdin=subprocess.PIPE).end()
    assert error in ended.out, ended
    assert ended.out.count("\n") == (1 if "multiprocessing" in before else 2), ended
    assert "a child is left" not in ended.out, ended
    assert (ended.status, ended.err) == (3, ""), ended


def test_a_thread_that_was_just_joined_does_not_count(program: StartProgram) -> None:
    """The kernel may still list it for a moment."""
    ended = program("""
        import pyinit, threading
        for _ in range(50):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
        pyinit.relaunch_if_pid1()
        print("parted")
    """).end()
    assert (ended.status, ended.out) == (0, "parted\n"), ended


def test_an_application_that_is_killed_before_it_goes_on_is_reported(program: StartProgram) -> None:
    """The kernel may kill it when memory runs out. The init exists already, and reports it."""
    ended = program("""
        import os, pyinit, signal
        os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGKILL))
        pyinit.relaunch_if_pid1()
    """).end()
    assert ended.status == 128 + signal.SIGKILL, ended
    assert "killed by SIGKILL" in ended.err, ended


@pytest.mark.parametrize(
    ("limit", "value"), [("RLIMIT_AS", 1 << 20), ("RLIMIT_NOFILE", 3)], ids=["no memory", "no descriptors"]
)
def test_an_application_never_runs_without_an_init(program: StartProgram, limit: str, value: int) -> None:
    """If the new interpreter cannot go on, the container ends before the application does anything."""
    text = f"""
        import os, pyinit, resource
        from pyinit import __main__
        start_over = __main__.start_over
        def start_over_in_want(*arguments):
            resource.setrlimit(resource.{limit}, ({value}, {value}))
            start_over(*arguments)
        __main__.start_over = start_over_in_want
        pyinit.relaunch_if_pid1()
        os.write(1, b"it runs")
    """
    for _ in range(10):
        ended = program(text).end()
        assert ended.status != 0 and ended.out == "", ended


@pytest.mark.slow
def test_timers_go_with_the_application(program: StartProgram) -> None:
    """A timer that it cancels does not fire in PID 1; one that it sets fires in the application."""
    ended = program("""
        import os, pyinit, signal, time
        import pyinit.__main__, pyinit.options.table, pyinit.workload.adopted  # before the timer starts
        signal.setitimer(signal.ITIMER_REAL, 20)
        pyinit.relaunch_if_pid1()
        assert 0 < signal.setitimer(signal.ITIMER_REAL, 0)[0] <= 20
        time.sleep(20.5)  # PID 1 would pass its SIGALRM on
        signal.signal(signal.SIGALRM, lambda *_: os._exit(9))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while True:  # pause() would miss a signal that comes before it
            time.sleep(0.01)
    """).end()
    assert ended.status == 9, ended


def test_an_application_may_ignore_its_children(program: StartProgram) -> None:
    """It goes on to ignore them, and its own end is still noticed."""
    ended = program("""
        import os, pyinit, signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        pyinit.relaunch_if_pid1()
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
        os._exit(6)
    """).end()
    assert (ended.status, ended.err) == (6, ""), ended


def test_a_handler_that_raises_leaves_no_signal_blocked(program: StartProgram) -> None:
    """It may run while the signals are being blocked."""
    ended = program("""
        import pyinit, signal
        from pyinit.kernel import signals
        block = signals.block
        def block_and_handle():
            block()
            raise TimeoutError
        signals.block = block_and_handle
        for call in (lambda: pyinit.run(["true"]), pyinit.relaunch_if_pid1):
            try:
                call()
            except TimeoutError:
                print(signal.pthread_sigmask(0, []))
    """).end()
    assert ended.out == "set()\nset()\n", ended


def test_a_terminal_that_was_given_up_for_a_session_is_taken_back(library: str) -> None:
    """If the application cannot be forked, or no init started."""
    program = """if True:
        import os, pyinit, sys
        def fork():
            raise BlockingIOError(11, "no process")
        original, os.fork = os.fork, fork
        for executable in (sys.executable, "/gone"):
            sys.executable = executable
            try:
                pyinit.relaunch_if_pid1(session=True)
            except OSError as error:
                print(error.strerror, os.tcgetpgrp(0) == os.getpgrp(), os.path.exists("/dev/tty"))
                os.close(os.open("/dev/tty", os.O_RDWR))
            os.fork = original
    """
    arguments = ["--pid", "--fork", "--mount-proc", "--kill-child", "setsid", "-c", INTERPRETER, "-c", program]
    environment = {**os.environ, "PYTHONPATH": library}
    terminal = pexpect.spawn("unshare", arguments, timeout=PATIENCE, env=environment)
    terminal.expect_exact("no process True True")
    terminal.expect("cannot start the interpreter '/gone' anew: .* True True")
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 0


def test_the_first_lines_on_the_page_leave_pid_1_to_the_init(program: StartProgram) -> None:
    """What comes after them runs as its child."""
    lines = block(PAGE, "\n\npyinit.relaunch_if_pid1()")
    ended = program(f"{lines}import os, sys; print(os.getpid(), os.getppid()); sys.exit(7)").end()
    assert ended.status == 7 and re.fullmatch(r"(?!1 )\d+ 1\n", ended.out), ended


def test_each_option_on_the_page_is_in_force(program: StartProgram, tmp_path: Path) -> None:
    """A session, a rewritten signal, one that is dropped, and a status that counts as 0."""
    server = tmp_path / "server"
    server.write_text("""#!/bin/sh
        trap 'echo hangup' HUP
        trap 'echo quit; exit 143' QUIT
        read -r pid name state parent group session rest < /proc/self/stat
        [ $session = $pid ] && echo leads a session
        while :; do sleep 0.05; done
    """)
    server.chmod(0o755)
    call = block(PAGE, 'pyinit.run(["server"]')
    container = program(f"import pyinit\n{call}", variables={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    container.expect("leads a session")
    container.signal(signal.SIGHUP)
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (0, "quit\n"), ended


@pytest.mark.parametrize(
    ("example", "words"),
    [("script.py", "stop_timeout=5"), ("service.py", "asyncio.run("), ("gunicorn.conf.py", "stop_timeout=6")],
)
def test_the_page_shows_lines_of_the_examples(example: str, words: str) -> None:
    """The next test runs the first two; container/applications/test_api.py runs the third."""
    assert block(PAGE, words) in (EXAMPLES / "api" / example).read_text()


@pytest.mark.parametrize("example", ["script.py", "service.py"])
def test_the_examples_end_gracefully(program: StartProgram, example: str) -> None:
    """The examples of docs/python.md: the stop signal reaches the application, which ends by itself."""
    text = (EXAMPLES / "api" / example).read_text()
    text = text.replace("stop_timeout=5", "stop_timeout=60")  # its end takes longer on a loaded machine
    container = program(text, variables={"PYTHONUNBUFFERED": "1"})
    container.expect("working")
    assert "launcher.py" in Path(f"/proc/{container.init}/cmdline").read_text()
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out, ended.err) == (0, "finished\n", ""), ended
