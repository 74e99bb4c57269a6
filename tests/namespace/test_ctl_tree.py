"""``pyinitctl tree``: all processes are shown, problems stand out, and large trees stay readable."""

import re
import resource
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pexpect
import pytest

from pyinit.ctl.picture import HIDDEN
from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, Container, clean_environment, python
from testing.waiting import PATIENCE, SLOWNESS, eventually

from .conftest import Start, await_counters

Tree = Callable[..., "Seen"]

COLOUR = re.compile(r"\x1b\[[\d;]*m")

UID = 54321
"""The words that run a program as another user than root."""

AS_SOMEBODY = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]


class Seen:
    """What was printed."""

    def __init__(self, ended: "subprocess.CompletedProcess[bytes]") -> None:
        self.status = ended.returncode
        self.lines = ended.stdout.decode().removesuffix("\n").split("\n")
        self.err = ended.stderr.decode()

    def line(self, text: str) -> str:
        """The only line with this text, without the columns before the tree, which are checked."""
        found = [line for line in self.lines[1:] if text in line]
        assert len(found) == 1, (text, self.lines)
        return in_tree(found[0])

    def row(self, pid: int) -> str:
        """The line of this pid, in the same form."""
        found = [line for line in self.lines[1:] if line.split()[0] == str(pid)]
        assert len(found) == 1, (pid, self.lines)
        return in_tree(found[0])


def in_tree(line: str) -> str:
    """The part of a line after pid, state and age."""
    found = re.fullmatch(r" *\d+ [RSDZTtI] +(?:at most )?[\dhms.d-]+  (.*)", line)
    assert found, line
    return found[1]


@pytest.fixture
def tree(bin_folder: Path) -> Tree:
    """Run ``pyinitctl tree`` with these words in a container."""

    def tree(container: Container, *words: str, before: Sequence[str] = (), status: int = 0) -> Seen:
        command = [*container.enter, *before, str(bin_folder / "pyinitctl"), "tree", *words]
        seen = Seen(subprocess.run(command, capture_output=True, timeout=PATIENCE))
        assert seen.status == status, (seen.lines, seen.err)
        return seen

    return tree


@pytest.fixture
def on_terminal(bin_folder: Path) -> Callable[..., list[str]]:
    """Run ``pyinitctl tree`` in a container on a terminal with `columns` columns and these variables."""

    def on_terminal(container: Container, columns: int = 200, **variables: str) -> list[str]:
        command, *words = [*container.enter, str(bin_folder / "pyinitctl"), "tree"]
        environment = dict(clean_environment(**{"TERM": "xterm", **variables}))
        child = pexpect.spawn(command, words, env=environment, dimensions=(24, columns), encoding="utf-8")  # type: ignore[arg-type]
        child.expect(pexpect.EOF, timeout=PATIENCE)
        assert child.wait() == 0, child.before
        return str(child.before).removesuffix("\r\n").split("\r\n")

    return on_terminal


SUPPORT = """
import ctypes, os, platform, signal, sys, threading, time

def child(act=signal.pause, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            act(*arguments)
        finally:
            os._exit(0)
    return pid

def rename(name):
    with open("/proc/self/comm", "wb", buffering=0) as file:
        file.write(name)

def zombie(name=b"dead"):
    pid = child(rename, name)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid

def run(*words):
    return os.posix_spawn("/bin/sleep", [*words], os.environ)

def orphan(*words):
    read, write = os.pipe()
    os.waitpid(child(lambda: os.write(write, str(run(*words)).encode())), 0)
    return int(os.read(read, 20))

def state_of(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2][:1]

def wait_for(pid, state):
    while state_of(pid) != state:
        time.sleep(0.01)

def ready(*words):
    print(*words, flush=True)
    signal.pause()
"""


def told(container: Container) -> list[int]:
    """The pids that the workload prints when it is ready."""
    return [int(word) for word in container.line().split()]


@pytest.fixture
def workload(start: Start) -> Callable[..., Container]:
    """A container with a workload in Python that can use the functions of `SUPPORT`."""

    def workload(program: str, *arguments: str, **settings: object) -> Container:
        return start("--", *python(f"{SUPPORT}\n{program}", *arguments), **settings)

    return workload


Workload = Callable[..., Container]

MIXED = """
def leave_threads():
    threading.Thread(target=signal.pause).start()
    time.sleep(0.1)
    ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)

stopped = run("sleep", "1002")
os.kill(stopped, signal.SIGSTOP)
threads = child(leave_threads)
found = [run("sleep", "1001"), zombie(b"worker"), orphan("sleep", "1003"), stopped, threads]
wait_for(stopped, b"T")
wait_for(threads, b"Z")
ready(*found)
"""


def test_all_processes_are_in_the_tree_and_problems_stand_out(workload: Workload, tree: Tree) -> None:
    """Zombies with their ages, orphans, stopped processes, and main threads that have ended."""
    container = workload(MIXED)
    child, zombie, orphan, stopped, threads = told(container)
    await_counters(container)
    seen = tree(container)
    assert re.fullmatch(r" *PID S +AGE  COMMAND", seen.lines[0])
    assert seen.row(1)[0] not in "├└", seen.lines
    assert seen.row(2).startswith("├─ python") and "orphan" not in seen.row(2)
    assert seen.row(child).endswith("├─ sleep 1001")
    assert re.fullmatch(r"│  .─ worker  zombie for (at most )?[\dms.]+", seen.row(zombie)), seen.lines
    assert seen.row(stopped) == "│  ├─ sleep 1002  stopped"
    assert seen.row(orphan) == "└─ sleep 1003  orphan"
    assert seen.row(threads).endswith("not a zombie: its main thread has ended, 1 thread is running")
    assert seen.line("from outside").endswith("  from outside (docker exec)")
    assert len(seen.lines) == 1 + 8


def test_pid_1_is_called_pyinit_however_it_was_started(start: Start, tree: Tree, bin_folder: Path) -> None:
    """The interpreter and its options are not shown, whether it was the launcher or ``python3 -m pyinit``."""
    program = ["--", "sleep", "1019"]
    container = start(*program)
    container.await_rest()
    assert tree(container).row(1) == "pyinit -- sleep 1019"
    environment = clean_environment(PYTHONPATH=str(bin_folder.parent / "lib"))
    module = Container([*UNSHARE, INTERPRETER, "-m", "pyinit", *program], env=environment)
    try:
        module.await_rest()
        assert tree(module).row(1) == "pyinit -- sleep 1019"
        assert "-m" not in "".join(tree(module).lines)
    finally:
        module.process.kill()
        module.process.communicate()


def test_a_process_from_outside_has_no_parent(workload: Workload, tree: Tree) -> None:
    """One from docker exec stands beside PID 1, with its children below it."""
    container = workload("ready()")
    container.line()
    words = ["sh", "-c", "sleep 1004 & echo $!; wait"]
    with subprocess.Popen([*container.enter, *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        sleeper = int(process.stdout.readline())
        try:
            eventually(lambda: tree(container).row(sleeper) == "└─ sleep 1004", "it has been executed")
            seen = tree(container)
        finally:
            process.kill()
        assert seen.line("sh -c").endswith("  from outside (docker exec)")
        assert seen.row(sleeper) == "└─ sleep 1004"


def test_the_workload_is_known_from_a_host(workload: Workload, bin_folder: Path) -> None:
    """The counters have the pid in its own PID namespace."""
    container = workload('orphan("sleep", "1005"); ready()')
    container.line()
    await_counters(container)
    command = [str(bin_folder / "pyinitctl"), "tree", "-p", str(container.init)]
    seen = Seen(subprocess.run(command, capture_output=True))
    assert seen.row(container.init)[0] not in "├└", seen.lines
    assert seen.line("├─ python").endswith("…"), seen.lines
    assert seen.line("└─ sleep 1005") == "└─ sleep 1005  orphan"
    assert len(seen.lines) == 4


def test_orphans_of_a_pyinit_that_is_not_pid_1_are_marked(bare: Start, tree: Tree, launcher: str) -> None:
    """As in a pod that shares its PID namespace: it is the pyinit of the same container."""
    workload = python(f"{SUPPORT}\nprint(orphan('sleep', '1009'), flush=True); ready()")
    container = bare("sh", "-c", '"$@"; exit', "sh", launcher, "-s", "--", *workload)
    orphan = int(container.line())
    eventually(lambda: tree(container).row(orphan).endswith("─ sleep 1009  orphan"))


def test_a_pause_has_no_orphans(start: Start, tree: Tree) -> None:
    """Its children belong to the containers that share its PID namespace."""
    container = start("--pause")
    container.await_rest()
    program = python(f"{SUPPORT}\nprint(run('sleep', '1006'), flush=True)")
    with subprocess.Popen([*container.enter, *program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        sleeper = int(process.stdout.readline())
    eventually(
        lambda: tree(container).row(sleeper) == "└─ sleep 1006", "its parent has ended, and it is a child of PID 1"
    )


def test_without_pyinit_no_process_is_called_an_orphan(tree: Tree) -> None:
    """The children of another PID 1 may be its own."""
    program = f"{SUPPORT}\nprint(orphan('sleep', '1007'), flush=True); ready()"
    with Container([*UNSHARE, *python(program)]) as container:
        orphan = int(container.line())
        seen = tree(container)
        assert (seen.row(orphan), seen.err) == ("└─ sleep 1007", "")


def test_a_user_who_cannot_see_which_processes_are_orphans_is_told(workload: Workload, tree: Tree) -> None:
    """Otherwise the missing marks would mean that there are none."""
    container = workload('print(orphan("sleep", "1008"), flush=True); ready()')
    orphan = int(container.line())
    container.await_rest()
    seen = tree(container, before=AS_SOMEBODY)
    assert seen.row(orphan) == "└─ sleep 1008"
    assert re.fullmatch(r"pyinitctl: orphans are not marked: pid 1 belongs to .*\n", seen.err)


def test_with_hidepid_the_visible_processes_are_shown(workload: Workload, tree: Tree) -> None:
    """Their parents may not be visible. A PID 1 that was asked for cannot be shown."""
    own = [*AS_SOMEBODY, "sh", "-c", "sleep 1009 & echo $!; wait"]
    mount = ["sh", "-c", 'mount -o remount,hidepid=2 /proc && exec "$@"', "sh"]
    container = workload(f"os.posix_spawnp('setpriv', {own!r}, os.environ); signal.pause()", before=mount)
    sleeper = int(container.line())
    eventually(lambda: tree(container, before=AS_SOMEBODY).row(sleeper) == "└─ sleep 1009", "it has been executed")
    seen = tree(container, before=AS_SOMEBODY)
    assert re.search(r"  its parent \(pid \d+\) is not visible$", seen.line("sh -c"))
    assert seen.row(sleeper) == "└─ sleep 1009"
    assert len(seen.lines) == 4, seen.lines
    assert seen.err == f"pyinitctl: {HIDDEN}\n"
    seen = tree(container, "-p", "1", before=AS_SOMEBODY, status=3)
    assert (seen.lines, seen.err) == ([""], f"pyinitctl: no process with pid 1 is visible: {HIDDEN}\n")


HOSTILE = r"""
comms = [b"\n    1 S  x", b"\x1b[31mred", b"a) Z 1 (b", b"\xff\xfe\x80", b"\xe2\x80\xae\xc2\x9b31m", b"\r\x08\x08", b"[k]", b" "]
argvs = [b"\n    9 S 1s  fake", b"\x1b]0;title\x07", b"\xff\xfe", b"\xc2\x9b31m", b"\x1b[2J\x1b[H", "\u2028\u202e".encode(), b"(a) b"]
found = [zombie(comm) for comm in comms]
found += [os.posix_spawn("/bin/sleep", [argv, "1010"], os.environ) for argv in argvs]
stdin, _ = os.pipe()
os.dup2(stdin, 0)
for comm in comms:  # the name of what is executed; there is no command line
    os.symlink("/bin/sh", path := os.fsencode(sys.argv[1]) + b"/" + comm)
    found.append(child(ctypes.CDLL(None).execve, path, (ctypes.c_char_p * 2)(b"", None), None))
    while open(f"/proc/{found[-1]}/cmdline").read() != "\0":
        time.sleep(0.01)
ready(*found)
"""  # noqa: E501


def check_hostile(lines: Sequence[str], pids: Sequence[int]) -> None:
    """Check that there is one line for each pid, and nothing that controls a terminal."""
    assert sorted(int(line.split()[0]) for line in lines[1:] if "from outside" not in line) == sorted([1, 2, *pids])
    assert all(line.isprintable() for line in lines), lines


def test_no_name_can_forge_a_line(
    workload: Workload, tree: Tree, on_terminal: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Newlines, escape sequences, parentheses and invalid UTF-8 are written as escapes, also in colour."""
    container = workload(HOSTILE, str(tmp_path))
    pids = told(container)
    check_hostile(tree(container).lines, pids)
    lines = on_terminal(container)
    assert any(COLOUR.search(line) for line in lines)
    check_hostile([COLOUR.sub("", line) for line in lines], pids)


@pytest.mark.parametrize(
    ("variables", "is_coloured"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_has_colours(
    workload: Workload, on_terminal: Callable[..., list[str]], variables: Mapping[str, str], is_coloured: bool
) -> None:
    """Unless NO_COLOR (https://no-color.org) is set, or the terminal has none."""
    container = workload('zombie(b"worker"); ready()')
    container.line()
    (line,) = [line for line in on_terminal(container, **variables) if "worker" in line]
    assert bool(re.search(r"\x1b\[1;31mworker  zombie for .*\x1b\[0m$", line)) == is_coloured, line
    assert ("\x1b" in line) == is_coloured


def test_no_line_is_wider_than_the_terminal(workload: Workload, on_terminal: Callable[..., list[str]]) -> None:
    """The command is cut before the marks are. Characters may be two columns wide."""
    container = workload(
        """
for _ in range(6):
    if os.fork():
        signal.pause()
stopped = run("sleep", "1011", *["0"] * 300)
os.kill(stopped, signal.SIGSTOP)
wait_for(stopped, b"T")
os.posix_spawn("/bin/sleep", ["\\u6f22" * 200, "1012"], os.environ)
ready()
"""
    )
    container.line()
    for columns in (20, 80, 250):
        lines = [COLOUR.sub("", line) for line in on_terminal(container, columns)]
        assert len(lines) == 1 + 1 + 7 + 2 + 1
        widths = [len(line) + line.count("\u6f22") for line in lines]
        assert max(widths) <= columns, lines
        if columns > 20:
            assert any("─ sleep 10" in line and line.endswith("…  stopped") for line in lines), lines[-4:]
            assert max(widths) == columns


def test_depth_cuts_and_counts(workload: Workload, tree: Tree) -> None:
    """The line says how many processes are below, and how many of them are zombies."""
    container = workload("child(lambda: (zombie(), run('sleep', '1013'), ready())); signal.pause()")
    container.line()
    assert tree(container, "--depth", "0").row(1).endswith("  … 4 more below, 1 zombie")
    assert tree(container, "--depth", "1").row(2).endswith("  … 3 more below, 1 zombie")
    assert tree(container, "--depth=2").row(3).endswith("  … 2 more below, 1 zombie")
    assert "more below" not in "".join(tree(container, "--depth=3").lines)
    assert tree(container, "--depth=3").lines[-2].endswith("sleep 1013")


def test_siblings_that_are_alike_share_a_line(workload: Workload, tree: Tree) -> None:
    """With their number, ages and some pids. So do the processes below them, if they are alike, too."""
    container = workload(
        """
same = [run("sleep", "1014") for _ in range(5)]
two = [run("sleep", "1015") for _ in range(2)]
other = [run("sleep", *["0"] * 60, f"102{number}") for number in range(3)]
zombies = [zombie() for _ in range(4)]
families = [child(lambda: (run("sleep", "1016"), signal.pause())) for _ in range(3)]
while len([one for one in os.listdir("/proc") if one.isdigit()]) < 22:
    time.sleep(0.01)
ready(*same)
"""
    )
    pids = told(container)

    def all_sleep() -> bool:
        text = "".join(tree(container).lines)
        return "5 × sleep 1014" in text and "3 × sleep 1016" in text  # noqa: RUF001

    eventually(all_sleep, "all have been started")
    seen = tree(container)
    assert seen.line("sleep 1014") == f"   ├─ 5 × sleep 1014  (pids {pids[0]}, {pids[1]}, {pids[2]}, …)"  # noqa: RUF001
    assert sum("─ sleep 1015" in line for line in seen.lines) == 2
    assert sum("sleep 0 0" in line for line in seen.lines) == 3
    assert re.search(r"─ 4 × dead  zombies, the oldest for [\w. ]+  \(pids .*, …\)$", seen.line("dead"))  # noqa: RUF001
    assert re.search(r"^      └─ 3 × sleep 1016  \(pids \d+, \d+, \d+\)$", seen.line("1016"))  # noqa: RUF001
    assert len(seen.lines) == 1 + 2 + 1 + 2 + 3 + 1 + 2 + 1, seen.lines


@pytest.mark.slow
def test_thousands_are_readable_at_once(workload: Workload, tree: Tree) -> None:
    """3,000 sleeping processes are one line, and take little time."""
    container = workload("for pid in [child() for _ in range(3000)]: wait_for(pid, b'S')\nready()")
    container.line()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = tree(container)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5 * SLOWNESS
    assert len(seen.lines) == 5, seen.lines
    assert re.match(r"   └─ 3000 × python.*  \(pids 3, 4, 5, …\)$", seen.line("3000"))  # noqa: RUF001


def test_very_deep_trees_are_readable(start: Start, tree: Tree) -> None:
    """The indentation is limited, and all processes are shown."""
    program = 'if [ $1 -gt 0 ]; then sh -c "$0" "$0" $(($1-1)); else echo; sleep 1018; fi; :'
    container = start("--", "sh", "-c", program, program, "1200", before=IN_TIME)
    container.line()
    eventually(lambda: "sleep" in tree(container).lines[-2], "the last has started")
    seen = tree(container)
    assert len(seen.lines) == 1 + 1 + 1201 + 1 + 1
    assert seen.line("sleep 1018").endswith("└─ (generation 1202) sleep 1018")
    assert max(len(line) for line in seen.lines) < 250


@pytest.mark.slow
def test_processes_that_come_and_go_are_no_error(workload: Workload, bin_folder: Path) -> None:
    """Short-lived processes without end, with orphans among them."""
    container = workload(
        """
import select
number = 0
while not select.select([0], [], [], 0)[0]:
    number += 1
    child(child, int) if number % 2 else child(int)
    while number % 20 == 0:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
print("done", flush=True)
signal.pause()
""",
        stdin=subprocess.PIPE,
    )
    await_counters(container)
    command = [*container.enter, str(bin_folder / "pyinitctl"), "tree"]
    for _ in range(10):
        ended = subprocess.run(command, capture_output=True, timeout=PATIENCE)
        assert (ended.returncode, ended.stderr) == (0, b""), ended
        assert re.search(rb"\n +1 ", ended.stdout)
    container.say()
    container.expect("done")


def test_it_is_drawn_in_ascii_if_the_encoding_lacks_the_characters(bin_folder: Path) -> None:
    """The encoding of standard output."""
    ctl = [INTERPRETER, "-ISBX", "utf8=0", str(bin_folder / "pyinitctl"), "tree"]
    workload = f"import os\nos.posix_spawn('/bin/sleep', ['\\u00e9', '1017'], {{}})\nos.execv({ctl[0]!r}, {ctl!r})"
    ended = subprocess.run([*UNSHARE, *python(workload)], capture_output=True, env=clean_environment(LC_ALL="C"))
    assert re.search(rb"\n *2 . +[\w.]+  `- \S+ 1017\n$", ended.stdout), ended
    assert ended.stdout.isascii()
