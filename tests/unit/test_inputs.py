"""The standard input of another process: a pipe with a writer, with unread bytes, or at its end; or not a pipe."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from pyinit.kernel import inputs
from pyinit.kernel.inputs import FED, NOT_A_PIPE, RUN_DRY, look_at
from testing.waiting import PATIENCE, eventually

SLEEP = ["sleep", "60"]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that looks may take its time."""
    monkeypatch.setattr(inputs, "_PATIENCE", PATIENCE)
    monkeypatch.setattr(inputs, "_silent", set())


@contextmanager
def reading(stdin: int, **popen: object) -> Iterator[int]:
    """Run `sleep` with this standard input; yield its pid."""
    process = subprocess.Popen(SLEEP, stdin=stdin, **popen)  # type: ignore[call-overload]
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def look(pid: int, ours: str = "") -> int:
    """The result of `look_at` for one process."""
    return look_at([pid], ours)[pid].input


@pytest.mark.parametrize("is_fifo", [False, True])
def test_a_pipe_is_fed_until_its_writer_has_closed_it_and_all_is_read(tmp_path: Path, is_fifo: bool) -> None:
    """The same holds for a FIFO, which poll(2) treats differently."""
    if is_fifo:
        os.mkfifo(tmp_path / "fifo")
        writing = os.open(tmp_path / "fifo", os.O_RDWR)
        ours = os.open(tmp_path / "fifo", os.O_RDONLY)
    else:
        ours, writing = os.pipe()
    with reading(ours) as pid:
        assert look(pid) == FED
        os.write(writing, b"12")
        os.close(writing)
        assert look(pid) == FED
        assert os.read(ours, 1) == b"1"
        assert look(pid) == FED
        assert os.read(ours, 1) == b"2"
        assert look(pid) == RUN_DRY
        assert look(pid) == RUN_DRY  # the first look has changed nothing
    os.close(ours)


def test_a_look_does_not_affect_the_reader(tmp_path: Path) -> None:
    """The reader gets every byte, and can wait for more."""
    copy = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert copy.stdin and copy.stdout
    for number in range(50):
        copy.stdin.write(b"%d\n" % number)
        copy.stdin.flush()
        look(copy.pid)
    copy.stdin.close()
    assert copy.stdout.read().split() == [b"%d" % number for number in range(50)]
    assert copy.wait() == 0
    copy.stdout.close()


@pytest.mark.parametrize("kind", ["file", "device", "closed", "read and write", "writing end"])
def test_anything_else_is_not_a_pipe_for_reading(tmp_path: Path, kind: str) -> None:
    """A child process looks at a file, which may be on a server that does not answer."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    ours, writing = os.pipe()
    stdin = {
        "file": lambda: os.open(tmp_path / "file", os.O_RDONLY),
        "device": lambda: os.open("/dev/zero", os.O_RDONLY),
        "closed": lambda: os.open("/dev/null", os.O_RDONLY),
        "read and write": lambda: os.open(tmp_path / "fifo", os.O_RDWR),
        "writing end": lambda: writing,
    }[kind]()
    close = {"preexec_fn": lambda: os.close(0)} if kind == "closed" else {}
    with reading(stdin, **close) as pid:
        assert look(pid) == NOT_A_PIPE
    for fd in {stdin, ours, writing}:
        os.close(fd)


def test_our_own_standard_input_does_not_count() -> None:
    """With `docker run -i`, all processes have inherited it."""
    ours, writing = os.pipe()
    with reading(ours) as pid:
        assert look(pid, os.readlink(f"/proc/self/fd/{ours}")) == NOT_A_PIPE
        assert look(pid, "pipe:[1]") == FED
    os.close(ours)
    os.close(writing)


def test_a_process_that_has_ended_has_no_input() -> None:
    """Neither as a zombie nor after it was reaped."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert look(process.pid) == NOT_A_PIPE
    process.wait()
    assert look(process.pid) == NOT_A_PIPE


def test_the_program_is_named() -> None:
    """The name is the executable's file name: a script has another name in /proc/PID/stat."""
    ours, writing = os.pipe()
    with reading(ours) as pid:
        name = os.path.basename(os.path.realpath("/usr/bin/sleep"))
        eventually(lambda: look_at([pid], "")[pid].program, "it runs", holds=lambda program: program == name)
    os.close(ours)
    os.close(writing)


@pytest.mark.parametrize("name", ["a\nb", "x\ry 3", "x\n1 1 sh", "\udcff "])
def test_a_program_may_have_any_name(tmp_path: Path, name: str) -> None:
    """The answer of the child that looks is not cut into pieces by it, nor taken for one about another process."""
    program = shutil.copy("/usr/bin/sleep", tmp_path / name)
    with open(__file__) as file, subprocess.Popen([program, "60"], stdin=file) as process:
        looks = look_at([process.pid], "")
        process.kill()
    assert {pid: (look.input, look.program) for pid, look in looks.items()} == {process.pid: (NOT_A_PIPE, name)}


@pytest.mark.slow
def test_who_comes_after_files_that_do_not_answer_is_looked_at_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a look there is time for two of them. Until then it may be a reader."""

    def hang(pid: int, ours: str, is_child: bool) -> inputs.Look:
        if not is_child:
            raise PermissionError
        if pid in silent:
            time.sleep(1000)
        return inputs.Look(RUN_DRY)

    monkeypatch.setattr(inputs, "_look", hang)
    monkeypatch.setattr(inputs, "_PATIENCE", 1)
    monkeypatch.setattr(inputs, "_AFTER_KILL", 60)
    with ExitStack() as stack:
        *silent, last = [stack.enter_context(reading(subprocess.DEVNULL)) for _ in range(4)]
        looks = look_at([*silent, last], "")
        assert looks[last].input == FED
        monkeypatch.setattr(inputs, "_PATIENCE", 100)
        inputs._silent.update(silent)
        assert look_at([*silent, last], "")[last].input == RUN_DRY


@pytest.mark.slow
def test_a_file_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It may be on a server that has died. The child is killed and reaped; what it has said before counts, and another
    goes on with what comes after."""
    silent = tmp_path / "silent"
    silent.touch()

    def hang(pid: int, ours: str, is_child: bool) -> inputs.Look:
        if not is_child:
            raise PermissionError
        if os.readlink(f"/proc/{pid}/fd/0") == str(silent):
            time.sleep(1000)
        return inputs.Look(FED, str(pid))

    monkeypatch.setattr(inputs, "_look", hang)
    monkeypatch.setattr(inputs, "_PATIENCE", 10)
    monkeypatch.setattr(inputs, "_AFTER_KILL", 60)
    with silent.open() as file, reading(file.fileno()) as pid, reading(subprocess.DEVNULL) as after:
        for _ in range(2):
            looks = look_at([os.getpid(), pid, after], "")
            assert {child.pid for child in psutil.Process().children()} == {pid, after}
            assert [looks[one].input for one in (os.getpid(), after)] == [FED, FED]
            monkeypatch.setattr(inputs, "_PATIENCE", 1000)  # the test would time out
        assert inputs._silent == {pid}


WITHOUT_PTRACE = """if True:
    import os, subprocess, sys
    sys.path.insert(0, sys.argv[1])
    from pyinit.kernel import inputs
    inputs._PATIENCE = 40
    processes = [
        subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, user=user, group=user, extra_groups=[])
        for user in (4321, 4322)
    ]
    for process, user in zip(processes, (4321, 4322)):  # usually a shell of that user makes the pipe
        os.fchown(process.stdin.fileno(), user, user)
    processes[1].stdin.close()
    try:
        looks = inputs.look_at([process.pid for process in processes], "")
        print([(looks[process.pid].input, looks[process.pid].program) for process in processes])
        print(subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True).stdout)
    finally:
        for process in processes:
            process.kill()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_another_users_process_is_looked_at_as_that_user() -> None:
    """Without CAP_SYS_PTRACE, as in a container, a child takes that user's ids, looks, and is reaped."""
    program = [sys.executable, "-c", WITHOUT_PTRACE, str(Path(__file__).parents[2])]
    command = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--", *program]
    started = time.monotonic()
    seen = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *names = seen.stdout.split("\n", 1)
    assert first == f"[({FED}, 'sleep'), ({RUN_DRY}, 'sleep')]", seen
    assert names[0].split() == ["sleep", "sleep", "ps"], seen
    assert time.monotonic() - started < 50
