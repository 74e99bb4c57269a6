"""The hand-over: the workload gets what PID 1 was given, unchanged."""

import json
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from testing.namespaces import INTERPRETER, UNSHARE, clean_environment, python
from testing.processes import OWN_DESCRIPTORS, own_descriptors
from testing.waiting import eventually

from .conftest import Run, Start

STATE = """if True:
    import _signal, json, os, resource, sys
    def status(key):
        for line in open("/proc/self/status"):
            if line.startswith(key + ":"):
                return int(line.split()[1], 16)
    raw = open("/proc/self/environ", "rb").read().split(b"\\0")[:-1]
    print(json.dumps({
        "arguments": [os.fsencode(word).hex() for word in sys.argv[1:]],
        "environ": [entry.hex() for entry in raw],
        "cwd": os.getcwd(),
        "umask": os.umask(0),
        "blocked": status("SigBlk"),
        "limits": {name: resource.getrlimit(getattr(resource, name))
                   for name in dir(resource) if name.startswith("RLIMIT_")},
        "descriptors": sorted(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                              if os.path.exists(f"/proc/self/fd/{n}")),
    }))
"""
"""Prints how the program was started, as far as Python can see it."""


SHOW_SIGNALS = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
"""Not in Python, since CPython changes its own dispositions."""


def assert_signals_are_handed_over(run: Run, before: list[str], *, blocked: int = 0, ignored: int = 0) -> None:
    """Check that a workload gets the mask and the ignored signals that PID 1 was given, and that they include these
    bits. The signals of the C library count, too: programs started by make(1) have them ignored."""
    without_init = [*UNSHARE, *before, shutil.which("grep") or "", *SHOW_SIGNALS[1:]]
    given = subprocess.run(without_init, capture_output=True, text=True)
    sets = {line.split(":")[0]: int(line.split()[1], 16) for line in given.stdout.splitlines()}
    assert sets["SigBlk"] & blocked == blocked and sets["SigIgn"] & ignored == ignored
    assert run("--", *SHOW_SIGNALS, before=before).out == given.stdout


def start_with(statements: str) -> list[str]:
    """Words that run some Python, undo what CPython changed by itself, and execute what follows."""
    undo = "[signal.signal(s, signal.SIG_DFL) for s in (13, 25)]"
    return python(f"import os, signal, sys\n{undo}\n{statements}\nos.execv(sys.argv[1], sys.argv[1:])")


def bits(*numbers: int) -> int:
    """A signal set as /proc shows it."""
    return sum(1 << (number - 1) for number in numbers)


def test_no_signal_is_newly_ignored_or_blocked(run: Run) -> None:
    """CPython ignores SIGPIPE and SIGXFSZ before our first line. That is undone."""
    assert_signals_are_handed_over(run, start_with(""))


@pytest.mark.parametrize("number", [1, 2, 3, 10, 15, 17, 18, 20, 28, int(signal.SIGRTMIN), 64])
def test_an_ignored_signal_stays_ignored(run: Run, number: int) -> None:
    """As with nohup(1); also SIGINT, which CPython catches, and SIGCHLD, which pyinit needs."""
    before = start_with(f"signal.signal({number}, signal.SIG_IGN)")
    assert_signals_are_handed_over(run, before, ignored=bits(number))


def test_a_blocked_signal_stays_blocked(run: Run) -> None:
    """The mask, with SIGCHLD and real-time signals in it."""
    numbers = (2, 10, 11, 15, 17, int(signal.SIGRTMIN), 64)
    before = start_with(f"signal.pthread_sigmask(signal.SIG_SETMASK, {numbers})")
    assert_signals_are_handed_over(run, before, blocked=bits(*numbers))


def test_arguments_and_environment_are_handed_over_byte_for_byte(run: Run) -> None:
    """Invalid UTF-8, names that occur twice, and the order of the variables, in every locale."""
    words = [b"\xff\xfe", b"\xc3\xa9", b"", b" ", b"\n", b"--", "\U0001f40d".encode()]
    for locale in ({}, {b"LC_ALL": b"C"}, {b"LANG": b"C.UTF-8"}, {b"LC_ALL": b"POSIX"}, {b"LC_CTYPE": b"C"}):
        environ = {
            b"Z": b"\xff\x80",
            b"PATH": os.environb[b"PATH"],
            **locale,
            b"\xe9": b"latin",
            b"EMPTY": b"",
            b"A": b"a=b",
        }
        ended = run("--", INTERPRETER, "-ISc", STATE, *words, env=environ)
        seen = json.loads(ended.out)
        assert [bytes.fromhex(word) for word in seen["arguments"]] == words
        assert [bytes.fromhex(entry) for entry in seen["environ"]] == [b"%b=%b" % pair for pair in environ.items()]


ODD_ENVIRONMENT = """if True:
    import _ctypes, ctypes, os, sys
    c = ctypes.CDLL(None)
    def strings(*items):
        return (ctypes.c_char_p * (len(items) + 1))(*items, None)
    argv = strings(*map(os.fsencode, sys.argv[1:]))
    c.execve(argv[0], argv, strings(b"TWICE=1", b"no equals sign", b"TWICE=2", b"=empty name", b"PATH=/usr/bin:/bin"))
"""


def test_entries_of_the_environment_that_no_mapping_can_hold_survive(run: Run) -> None:
    """execve(2) takes any strings."""
    ended = run("--", "cat", "/proc/self/environ", before=[INTERPRETER, "-c", ODD_ENVIRONMENT])
    entries = ["TWICE=1", "no equals sign", "TWICE=2", "=empty name", "PATH=/usr/bin:/bin"]
    assert ended.out.split("\0")[:-1] == entries, ended


def test_without_proc_the_coerced_locale_is_undone_too(run: Run) -> None:
    """A variable that CPython added is the last one and is removed. One that was given stays."""
    for variables in ({"B": "2", "A": "1"}, {"LC_CTYPE": "C.UTF-8", "A": "1"}, {"LC_ALL": "C", "LC_CTYPE": "C.UTF-8"}):
        execute = f"import os, sys; os.execve(sys.argv[1], sys.argv[1:], {variables})"
        # Unmounted, it would uncover the one of the namespace outside, where /proc/self works as well.
        before = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$0" "$@"', *python(execute)]
        assert run("--", "env", before=before).out.splitlines() == [f"{key}={variables[key]}" for key in variables]


def test_working_directory_umask_and_limits_are_handed_over(run: Run, tmp_path: Path) -> None:
    """Each set to something unusual."""
    before = ["prlimit", "--nofile=123:456", "--core=0", "--stack=4194304", "sh", "-c", 'umask 0137; exec "$0" "$@"']
    seen = json.loads(run("--", *python(STATE), cwd=tmp_path, before=before).out)
    assert seen["cwd"] == str(tmp_path)
    assert seen["umask"] == 0o137
    assert seen["limits"]["RLIMIT_NOFILE"] == [123, 456]
    assert seen["limits"]["RLIMIT_STACK"][0] == 4194304
    assert seen["limits"]["RLIMIT_CPU"] == list(resource.getrlimit(resource.RLIMIT_CPU))


def test_descriptors_are_handed_over_and_none_is_added(run: Run, tmp_path: Path) -> None:
    """From 3 on, with gaps. pyinit's own descriptors do not reach the workload."""
    fds = [os.open(tmp_path / f"file{number}", os.O_CREAT | os.O_RDWR) for number in range(3)]
    os.close(fds.pop(1))
    ended = run("-vvv", "--", "ls", "-l", "/proc/self/fd", pass_fds=fds)
    numbers = {int(line.split()[-3]) for line in ended.out.splitlines() if "->" in line}
    lister = {3} if 3 not in fds else set()
    assert {0, 1, 2, *fds} <= numbers
    assert len(numbers - {0, 1, 2, *fds} - lister) <= 1, ended  # the folder that ls reads
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_closed_standard_descriptors_stay_closed(run: Run, tmp_path: Path, closed: tuple[int, ...]) -> None:
    """No file of ours gets one of their numbers, and nothing fails without them."""
    seen = tmp_path / "seen"
    close = "".join(f"os.close({fd});" for fd in closed)
    before = python(f"import os, sys; {close} os.execv(sys.argv[1], sys.argv[1:])")
    test = "for n in 0 1 2; do if [ -e /proc/self/fd/$n ]; then echo $n; fi; done"
    ended = run("-vvv", "--", "bash", "-c", f"{{ {test}; }} >&9 9>&-; exit 5", "bash",
                before=["bash", "-c", f'exec 9>{seen}; exec "$0" "$@"', *before])  # fmt: skip
    assert ended.status == 5
    still_open = {int(line) for line in seen.read_text().split()} - {1}  # bash makes 1 of 9 for the test
    assert still_open == {0, 2} - set(closed)


@pytest.mark.parametrize("variable", ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"])
def test_a_variable_that_names_pyinit_names_the_workload(run: Run, variable: str) -> None:
    """For example, sd_listen_fds(3) compares it with getpid(2)."""
    show = ["--", "sh", "-c", f'echo "$$ ${variable}"']
    assert run(*show, env=clean_environment(**{variable: "1"})).out == "2 2\n"
    assert run(*show, env=clean_environment(**{variable: "77"})).out == "2 77\n"


WATCHED = """if True:
    import ctypes
    interval = ctypes.c_uint64()
    print(ctypes.CDLL("libsystemd.so.0").sd_watchdog_enabled(0, ctypes.byref(interval)), interval.value)
"""
"""Prints what systemd's own library says about the watchdog. Run by the machine's Python, to share its C library."""


def test_systemds_watchdog_expects_the_workload_to_ping(run: Run, bare: Start) -> None:
    """Only the process that WATCHDOG_PID names may ping (sd_watchdog_enabled(3)). systemd sets it to PID 1."""
    watched = clean_environment(WATCHDOG_USEC="3000000", WATCHDOG_PID="1")
    assert bare("python3", "-ISc", WATCHED, env=watched).end().out == "1 3000000\n"
    for options in ([], ["--session"]):
        ended = run(*options, "--", "python3", "-ISc", WATCHED, env=watched)
        assert ended.out == "1 3000000\n", ended
    assert run("--", "python3", "-ISc", WATCHED, env={**watched, "WATCHDOG_PID": "77"}).out == "0 0\n"


def test_pyinit_holds_on_to_nothing(start: Start, tmp_path: Path) -> None:
    """Its working directory is /, and inherited descriptors above 2 are closed. The others are its own."""
    file = os.open(tmp_path, os.O_RDONLY)
    container = start("--", "sh", "-c", "echo ready; read -r line", pass_fds=[file], stdin=-1, cwd=tmp_path)
    container.expect("ready")
    eventually(lambda: os.readlink(f"/proc/{container.init}/cwd") == "/", "PID 1 is in /")
    eventually(lambda: own_descriptors(container.init) == OWN_DESCRIPTORS, "PID 1 has 0, 1, 2 and its own only")
    os.close(file)


def test_an_end_of_file_is_seen_while_pyinit_lives(start: Start, tmp_path: Path) -> None:
    """When the workload closes a pipe, no process in the container holds it open any longer."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Opened after unshare(1), which is the parent of PID 1 and keeps inherited descriptors.
    before = ["bash", "-c", f'exec 7>{fifo}; exec "$0" "$@"']
    container = start("--", "bash", "-c", "echo written >&7; exec 7>&-; read -r line", before=before, stdin=-1)
    with fifo.open() as reader:
        assert reader.read() == "written\n"
    assert container.process.poll() is None
