"""``--zombie-watch``: PID 1 names the parents that do not reap."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from testing.compiler import compile_c
from testing.namespaces import IN_TIME, UNSHARE, Container, clean_environment, python
from testing.processes import zombies
from testing.waiting import PATIENCE, eventually

from .conftest import Run, Start

WATCH = ["--zombie-watch", "0.1"]

CONDUCTOR = """if True:
    import os, sys, time
    FAMILY = {}
    def set_name(name):
        os.write(os.open("/proc/self/comm", os.O_WRONLY), name)
    def leak(number):
        for _ in range(number):
            pid = os.fork() or os._exit(0)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    def reap(number):
        for _ in range(number):
            os.wait()
    def new(name):
        'A process that does what it is told.'
        orders, boss = os.pipe()
        reports, member = os.pipe()
        if os.fork() == 0:
            set_name(name)
            while line := os.read(orders, 1):
                {"+": leak, "-": reap}[line.decode()](1)
                os.write(member, b".")
        FAMILY[name] = boss, reports
    for line in sys.stdin:
        'NAME ORDERS: + is a new zombie, - is one that is reaped.'
        name, orders = line.rstrip("\\n").split(" ")
        name = eval(f"b'{name}'")
        if name not in FAMILY:
            new(name)
        for order in orders:
            os.write(FAMILY[name][0], order.encode())
            os.read(FAMILY[name][1], 1)
        print("done", flush=True)
"""
"""A workload with children that leave and reap zombies on demand."""

STORM = """if True:
    import os, time
    while True:
        pid = os.fork() or os._exit(0)
        if os.fork() == 0:
            os.fork()
            os._exit(0)
        time.sleep(0.01)
        os.wait(); os.wait()
"""
"""Zombies that are reaped a little later, and orphans."""

CROWD = r"""
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    for (int number = atoi(words[count - 1]); number > 0; number--)
        if (!fork())
            for (;;)
                pause();
    if (write(1, "ready\n", 6) != 6)
        return 1;
    for (;;)
        pause();
}
"""


@pytest.fixture(scope="session")
def crowd(bin_folder: Path) -> str:
    """A program that has as many live children as its argument says."""
    return str(compile_c(CROWD, bin_folder.parent / "crowd"))


class Watched:
    """A container whose log is read line by line."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.lines: list[str] = []

    def order(self, name: str, orders: str) -> None:
        """See `CONDUCTOR`."""
        self._tell(name, "")  # it exists
        os.kill(self.container.init, signal.SIGSTOP)  # no look comes between one zombie and the next
        self._tell(name, orders)
        os.kill(self.container.init, signal.SIGCONT)

    def _tell(self, name: str, orders: str) -> None:
        self.container.say(f"{name} {orders}")
        self.container.expect("done")

    def line(self) -> str:
        """The next line of the log."""
        return self.container.error_line()

    def until(self, name: str) -> list[str]:
        """Have a process of this name leave zombies; return the lines before that line, of at least two looks."""
        self.order(name, "+")
        before = []
        while not (line := self.line()).startswith(f"pyinit: {name} "):
            assert line
            before.append(line)
        return before


@pytest.fixture
def watched(start: Start) -> Watched:
    """`CONDUCTOR` under ``--zombie-watch``."""
    return Watched(start(*WATCH, "--", *python(CONDUCTOR), stdin=subprocess.PIPE))


def told(name: str, count: int) -> str:
    """A pattern for the line about `count` zombies."""
    since = (
        "1 child that it has not waited for, for" if count == 1 else f"{count} children that it has not waited for, "
    )
    rest = r"(the oldest for )?[^ ]+: it should call wait\(\) or join\(\), or handle SIGCHLD"
    return rf"pyinit: {name} \(pid \d+\) has {since} ?{rest}\n"


def test_a_parent_is_named_once_and_again_only_when_it_got_worse(watched: Watched) -> None:
    """Not if it stays the same or gets better, nor if all were reaped meanwhile: only if it is worse than ever."""
    watched.order("leaky", "+++")
    seen = watched.until("one")
    assert len(seen) == 1 and re.fullmatch(told("leaky", 3), seen[0]), seen
    assert watched.until("two") == []  # the same
    watched.order("leaky", "-")
    assert watched.until("three") == []  # better
    watched.order("leaky", "+")
    assert watched.until("four") == []  # as bad as at its worst
    watched.order("leaky", "+")
    seen = watched.until("five")
    assert len(seen) == 1 and re.fullmatch(told("leaky", 4), seen[0]), seen
    watched.order("leaky", "----")
    assert watched.until("six") == []
    watched.order("leaky", "++++")
    assert watched.until("seven") == []
    watched.order("leaky", "+")
    seen = watched.until("eight")
    assert len(seen) == 1 and re.fullmatch(told("leaky", 5), seen[0]), seen


def test_a_parent_that_gets_better_and_worse_is_named_only_when_it_is_worse_than_ever(start: Start) -> None:
    """Each line has more zombies than the line before, whatever the looks happen to see."""
    program = """if True:
        import posix, time
        for turn, count in enumerate((1, 2, 1, 2, 1, 3, 2, 3, 1, 3) * 2):
            for _ in range(count):
                posix.fork() or posix._exit(0)
            time.sleep(0.12 if turn else 2)
            for _ in range(count):
                posix.wait()
    """
    ended = start("--zombie-watch=0.03", "--", *python(program)).end()
    counts = [int(count) for count in re.findall(r"has (\d+) child", ended.err)]
    assert counts and counts == sorted(set(counts)) and counts[-1] <= 3, ended
    assert ended.err.count("\n") == len(counts), ended


def test_another_process_with_the_same_pid_is_named_for_itself(start: Start) -> None:
    """A process that gets the pid later is another one."""
    program = """if True:
        import posix, time
        def write(path, text):
            fd = posix.open(path, posix.O_WRONLY)
            posix.write(fd, text)
        pid = 0
        for name, count in ((b"first", 3), (b"second", 1)):
            for _ in range(20):
                reader, writer = posix.pipe()
                if pid:
                    write("/proc/sys/kernel/ns_last_pid", str(pid - 1).encode())
                found = posix.fork()
                if found == 0:
                    if pid in (0, posix.getpid()):
                        write("/proc/self/comm", name)
                        for _ in range(count):
                            posix.fork() or posix._exit(0)
                        time.sleep(3)
                    posix._exit(0)
                posix.waitpid(found, 0)
                if pid in (0, found):
                    break
            pid = found
    """
    ended = start(*WATCH, "--", *python(program), before=IN_TIME).end()
    seen = re.findall(r"(\w+) \(pid (\d+)\) has (\d)", ended.err)
    assert {name: count for name, _, count in seen} == {"first": "3", "second": "1"}, ended
    assert len({pid for _, pid, _ in seen}) == 1, ended


def test_each_parent_has_a_line(watched: Watched) -> None:
    """Two that leave zombies are logged with name and pid."""
    for name in ("first", "second"):
        watched.order(name, "++")
    seen = watched.until("last")
    assert re.fullmatch(told("first", 2) + told("second", 2), "".join(seen)), seen


def test_zombies_that_are_reaped_in_time_are_not_logged(start: Start) -> None:
    """Neither orphans, which pyinit reaps, nor children whose parent reaps a moment later."""
    watched = Watched(
        start(
            "--zombie-watch=1", "--", "sh", "-c", 'nice -n -20 "$0" -ISc "$1" & exec "$0" -ISc "$2"',
            python("")[0], STORM, CONDUCTOR, stdin=subprocess.PIPE,
        )
    )  # fmt: skip
    assert watched.until("one") == []
    assert watched.until("two") == []


def test_as_json_its_fields_have_names(start: Start) -> None:
    """pid, name, zombies, oldest_seconds. The environment variable does the same as the option."""
    watched = Watched(
        start(
            "--log-format=json", "--", *python(CONDUCTOR), stdin=subprocess.PIPE,
            env=clean_environment(PYINIT_ZOMBIE_WATCH="0.1"),
        )
    )  # fmt: skip
    watched.order(r"odd\n\"\xff", "++")
    line = json.loads(watched.line())
    assert line["level"] == "warning" and line["event"] == "zombies"
    assert line["zombies"] == 2 and line["name"] == r"odd\x0a\"\xff".replace(r"\"", '"')
    assert 0.05 < line["oldest_seconds"] < PATIENCE
    assert line["message"].startswith(f"{line['name']} (pid {line['pid']}) has 2 children that it has not waited for")


@pytest.mark.parametrize("value", ["x", "-1", "nan", "inf", "1s", " "])
def test_a_value_that_is_not_a_number_of_seconds_is_a_usage_error(run: Run, value: str) -> None:
    """For the option and the variable: status 125 and a line that names it."""
    ended = run("--zombie-watch", value, "true")
    assert ended.status == 125 and "zombie-watch" in ended.err and ended.err.count("\n") == 1, ended
    ended = run("true", env=clean_environment(PYINIT_ZOMBIE_WATCH=value))
    assert ended.status == 125 and "PYINIT_ZOMBIE_WATCH" in ended.err and ended.err.count("\n") == 1, ended


@pytest.mark.parametrize("words", [[], ["--zombie-watch=0"]])
def test_unless_asked_for_nothing_wakes_pyinit(start: Start, words: list[str]) -> None:
    """It sleeps without a deadline, even if there are zombies."""
    container = start(*words, "--", "sh", "-c", "(true & exec sleep 1000)")
    container.await_rest()


def test_no_name_can_forge_a_line(watched: Watched) -> None:
    """Whatever bytes it has, there is one line for each parent."""
    names = [
        r"a\nb",
        r"\x1b[31mx",
        r")\x20Z\x201\x20(",
        r"\xff\xfe",
        r"\xe2\x80\xaex",
        "{message}",
        "%s",
        r"\r\x07\x08",
    ]
    for name in names:
        watched.order(name, "+")
    seen = watched.until("last")
    assert len(seen) == len(names), seen
    for line in seen:
        assert line[:-1].isprintable() and re.fullmatch(told(".+", 1), line), line
    names_told = {line.removeprefix("pyinit: ").partition(" (pid")[0] for line in seen}
    assert names_told == {
        r"a\x0ab", r"\x1b[31mx", ") Z 1 (", r"\xff\xfe", r"\u202ex", "{message}", "%s", r"\x0d\x07\x08",
    }  # fmt: skip


def test_a_tracer_with_zombies_of_its_own_is_not_logged_at_each_look(start: Start, bin_folder: Path) -> None:
    """It has two lines, about traced zombies and about its own children. They are counted separately."""
    source = r"""
    #include <signal.h>
    #include <sys/ptrace.h>
    #include <sys/wait.h>
    #include <unistd.h>
    int main(void) {
        int ends[2];
        pid_t target;
        if (pipe(ends))
            return 1;
        for (int number = 0; number < 2; number++)
            if (!fork())
                return 0;
        if (!fork()) {
            if (!(target = fork()))
                for (;;)
                    pause();
            if (write(ends[1], &target, sizeof target) < 0)
                return 1;
            for (;;)
                waitpid(target, 0, 0);
        }
        if (read(ends[0], &target, sizeof target) != sizeof target || ptrace(PTRACE_SEIZE, target, 0, 0))
            return 1;
        kill(target, SIGKILL);
        for (;;)
            pause();
    }
    """
    tracer = compile_c(source, bin_folder.parent / "tracer")
    watched = Watched(
        start(
            *WATCH, "--", "sh", "-c", '"$0" & exec "$1" -ISc "$2"', str(tracer), python("")[0], CONDUCTOR,
            stdin=subprocess.PIPE,
        )
    )  # fmt: skip
    lines = watched.until("one")
    for text in (" traces 1 zombie ", " has 2 children that "):
        while not any(text in line for line in lines):
            lines.append(watched.line())
    for name in ("two", "three", "four"):
        assert watched.until(name) == []


def test_zombies_at_the_end_of_the_container_are_not_logged(run: Run) -> None:
    """While all are asked to end, zombies whose parents end, too, are no fault."""
    program = """if True:
        import os, signal, time
        def leak(*_):
            for _ in range(3):
                os.fork() or os._exit(0)
        reader, writer = os.pipe()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, leak)
            os.write(writer, b".")
            while True:
                time.sleep(1000)
        os.read(reader, 1)
    """
    ended = run("--zombie-watch=0.05", "--drain-timeout=1", "--", *python(program))
    assert "waited" not in ended.err, ended


def test_as_a_subreaper_only_its_own_are_named(launcher: str, tmp_path: Path) -> None:
    """In a shared PID namespace it ignores the zombies of others."""
    stranger = "import os, time; os.fork() or os._exit(0); print('ready', flush=True); time.sleep(1000)"
    script = '"$0" -ISc "$1" & read line; exec 3<&0; "$2" --zombie-watch=0.1 -- "$0" -ISc "$3" <&3; exit $?'
    python_path = python("")[0]
    command = [*UNSHARE, "bash", "-c", script.replace("read line;", ""), python_path, stranger, launcher, CONDUCTOR]
    with Container(command, stdin=subprocess.PIPE) as container:
        container.expect("ready")
        watched = Watched(container)
        watched.order("inside", "++")
        seen = watched.until("last")
        # A look may have come between the first zombie and the second.
        assert re.fullmatch(f"({told('inside', 1)})?{told('inside', 2)}", "".join(seen)), seen
        assert watched.until("again") == []


@pytest.mark.slow
def test_as_a_subreaper_it_holds_nothing_up(launcher: str) -> None:
    """A hundred processes leave zombies at the end of a chain of three hundred, which is walked for each of them.
    Signals arrive while it looks, and a look costs little."""
    program = """if True:
        import os, select, signal, time
        def taken():
            with open(f"/proc/{init}/schedstat") as file:
                return int(file.read().split()[0]) / 1e9
        init, (reader, writer) = os.getppid(), os.pipe()
        if os.fork() == 0:
            for _ in range(300):
                if os.fork():
                    signal.pause()
            for _ in range(100):
                if os.fork() == 0:
                    for _ in range(2):
                        pid = os.fork() or os._exit(0)
                        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
                    os.write(writer, b".")
                    signal.pause()
            signal.pause()
        for _ in range(100):
            os.read(reader, 1)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        before, start = taken(), time.monotonic()
        while time.monotonic() < start + 1.5 or not select.select([0], [], [], 0)[0]:
            os.kill(init, signal.SIGUSR1)
            signal.sigwait([signal.SIGUSR1])
            time.sleep(0.01)
        print((taken() - before) / (time.monotonic() - start), os.getpid() != 2)
    """
    command = [*UNSHARE, "sh", "-c", '"$@"; exit $?', "sh", launcher, "--zombie-watch=0.05", "--", *python(program)]
    with Container(command, stdin=subprocess.PIPE) as container:
        named: set[str] = set()
        while len(named) < 100:
            named.update(re.findall(r"\(pid (\d+)\) has 2 children", container.error_line()))
        container.say()
        share, is_subreaper = container.end().out.split()
    assert (is_subreaper, float(share) < 0.6) == ("True", True), share


@pytest.mark.parametrize(
    ("limit", "options"),
    [
        (10, []),
        (11, ["-v"]),
        (10, ["-v"]),
    ],
)
def test_it_sees_with_few_descriptors(start: Start, limit: int, options: list[str]) -> None:
    """The counters take no descriptor that it needs."""
    program = "import posix; posix.fork() or posix._exit(0); posix.read(0, 1)"
    before = ["prlimit", f"--nofile={limit}"]
    container = start(*options, *WATCH, "--", *python(program), before=before, stdin=subprocess.PIPE)
    container.error_line(" has 1 child that it has not waited for")
    time.sleep(0.5)
    ended = container.end()
    assert ended.status == 0 and " has 1 child" not in ended.err, ended


@pytest.mark.slow
def test_a_look_at_thousands_holds_nothing_up(start: Start, crowd: str) -> None:
    """Signals are forwarded and orphans reaped while pyinit looks without pause. A delay is the time that pyinit has a
    processor: a loaded machine adds to any other."""
    program = """if True:
        import os, signal, subprocess, sys
        def taken():
            with open("/proc/1/schedstat") as file:
                return int(file.read().split()[0]) / 1e9
        crowd = subprocess.Popen([sys.argv[1], "5000"], stdout=subprocess.PIPE)
        crowd.stdout.readline()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        delays = []
        for turn in range(100):
            start = taken()
            os.kill(1, signal.SIGUSR1)
            signal.sigwait([signal.SIGUSR1])
            delays.append(taken() - start)
            if turn % 10 == 0:
                pid = os.fork()
                if pid == 0:
                    orphan = os.fork() or os._exit(0)
                    os.write(1, f"{orphan}\\n".encode())
                    os._exit(0)
                os.waitpid(pid, 0)
        print("median", sorted(delays)[50], flush=True)
        signal.pause()
    """
    container = start("--zombie-watch=0.001", "--", *python(program, crowd))
    while not (line := container.line()).startswith("median "):
        assert line
    assert float(line.split()[1]) < 0.03  # a whole look takes longer
    eventually(lambda: not zombies(container.init), "all orphans have been reaped")
    os.kill(container.init, signal.SIGTERM)
    assert container.end().status == 143
