"""Letting go: pyinit does not keep open what the workload was given and has closed or left."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from testing.namespaces import Container, python
from testing.processes import OWN_DESCRIPTORS, descriptors, own_descriptors
from testing.waiting import PATIENCE, eventually

from .conftest import Start

MOUNT = ["bash", "-c", 'mount -t tmpfs none "$0" && cd "$0" && exec 7>file 8<. && exec "$@"']
"""Runs a command in a file system of its own, with two descriptors on that."""


def test_a_mounted_working_directory_can_be_unmounted(start: Start, tmp_path: Path) -> None:
    """As soon as the workload has left it, while pyinit runs."""
    leave = 'umount "$0"; cd /; umount "$0"; exec 7>&- 8<&-; umount "$0"; echo "$?"; read -r line'
    program = f"echo ready; read -r line; {leave}"
    container = start("--", "bash", "-c", program, tmp_path, before=[*MOUNT, str(tmp_path)], stdin=subprocess.PIPE)
    container.expect("ready")
    container.await_rest()
    container.say()
    container.expect("0")
    ended = container.end()
    assert ended.err.count("target is busy") == 2, ended  # because of the workload


def test_the_working_directory_is_let_go_before_the_workload_can_look(start: Start, tmp_path: Path) -> None:
    """A program that looks at once sees / each time."""
    for _ in range(20):
        ended = start("--", "/bin/readlink", "/proc/1/cwd", cwd=tmp_path).end()
        assert ended.out == "/\n", ended


def has_let_go(container: Container) -> bool:
    """Is PID 1 in /, with only standard descriptors and its own?"""
    others = own_descriptors(container.init)
    return os.readlink(f"/proc/{container.init}/cwd") == "/" and others == OWN_DESCRIPTORS


def test_a_pause_holds_on_to_nothing(start: Start, tmp_path: Path) -> None:
    """The same where there is no workload."""
    container = start("--pause", before=[*MOUNT, str(tmp_path)], cwd=tmp_path)
    eventually(lambda: has_let_go(container), "PID 1 has let go")
    subprocess.run([*container.enter, "umount", tmp_path], check=True)
    assert container.process.poll() is None


NO_PROC = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]


@pytest.mark.parametrize("world", [[], NO_PROC], ids=["with /proc", "without /proc"])
def test_a_pipe_ends_with_the_workload_though_pyinit_stays(start: Start, tmp_path: Path, world: list[str]) -> None:
    """Its reader sees the end of the file while pyinit waits for another process, which does not have the pipe."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Opened after unshare(1), which is the parent of PID 1 and keeps inherited descriptors.
    before = [*world, "bash", "-c", f'exec 77>{fifo}; exec "$0" "$@"']
    program = "exec 3<&0; (exec 77>&-; read -r line <&3; echo over) & echo written >&77; exit 3"
    container = start("--wait-for=all", "--", "bash", "-c", program, before=before, stdin=subprocess.PIPE)
    assert subprocess.check_output(["cat", fifo], timeout=PATIENCE) == b"written\n"
    assert container.process.poll() is None
    container.say()
    ended = container.end()
    assert (ended.status, ended.out) == (3, "over\n"), ended


LOCKS = """if True:
    import fcntl, os, sys
    for number in (7, 8, 9):
        fd = os.open(sys.argv[1] if number > 7 else os.devnull, os.O_RDWR)
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
    {lock}
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Takes a lock through descriptor 9, which closing 8 would also drop, and executes the other arguments."""


def can_lock(file: Path) -> bool:
    """Is a file not locked by another process?"""
    with file.open("r+") as opened:
        try:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def numbers(container: Container) -> set[int]:
    """The descriptors of PID 1 among those of `LOCKS`."""
    return {7, 8, 9} & descriptors(container.init).keys()


@pytest.mark.parametrize("lock", ["fcntl.lockf(9, fcntl.LOCK_EX)", "fcntl.lockf(9, fcntl.LOCK_EX, 1, 5)"])
def test_a_record_lock_is_kept(start: Start, tmp_path: Path, lock: str) -> None:
    """It belongs to a pid, PID 1's, and would be dropped with any descriptor of that file (fcntl(2))."""
    file = tmp_path / "lock"
    file.touch()
    before = [*python(LOCKS.format(lock=lock)), str(file)]
    container = start("--", "sh", "-c", "echo ready; read -r line", before=before, stdin=subprocess.PIPE)
    container.expect("ready")
    assert not can_lock(file)
    assert numbers(container) == {8, 9}
    container.say()
    assert container.end().status == 0
    assert can_lock(file)


@pytest.mark.parametrize("lock", ["", "fcntl.flock(9, fcntl.LOCK_EX)"])
def test_without_a_record_lock_nothing_is_kept(start: Start, tmp_path: Path, lock: str) -> None:
    """A lock of flock(2) belongs to the open file description, which the workload has."""
    file = tmp_path / "lock"
    file.touch()
    before = [*python(LOCKS.format(lock=lock)), str(file)]
    container = start("--", "sh", "-c", "echo ready; read -r line", before=before, stdin=subprocess.PIPE)
    container.expect("ready")
    assert numbers(container) == set()
