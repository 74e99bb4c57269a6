"""Reading /proc."""

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyinit.kernel import procfs

PLAIN = b"7 (%b) S 3 7 7 0 -1 4194560 5 0 0 0 1 2 0 0 20 0 1 0 12345 1000 100" + b" 0" * 28 + b"\n"


@given(name=st.binary(max_size=64))
def test_a_name_may_contain_any_byte(name: bytes) -> None:
    """Even parentheses, newlines and spaces: the last parenthesis ends the name."""
    found = procfs.Process(PLAIN % name)
    assert (found.pid, found.parent, found.started) == (7, 3, 12345)
    assert found.name.encode("utf-8", "surrogateescape") == name


@given(line=st.binary(max_size=200))
@example(line=b"7 (cut short) S 3 7")
def test_any_line_gives_a_process_or_a_value_error(line: bytes) -> None:
    """A sandbox or a bind mount may show anything there."""
    try:
        procfs.Process(line)
    except ValueError:
        return


def test_this_process_is_read_right() -> None:
    """Compared with os.getpid() and os.getppid()."""
    me = procfs.process(os.getpid())
    assert me is not None
    assert (me.pid, me.parent) == (os.getpid(), os.getppid())


def test_a_missing_process_is_none() -> None:
    """A process may exit between two reads."""
    child = subprocess.Popen(["true"])
    child.wait()
    assert procfs.process(child.pid) is None
    assert procfs.name_of(child.pid) is None


def test_descendants_are_all_descendants_and_no_other_processes() -> None:
    """Children and grandchildren, parents first, but not the process itself or its parent."""
    script = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    try:
        assert [member.pid for member in procfs.descendants(child.pid)] == [grandchild]
        family = [member.pid for member in procfs.descendants(os.getpid())]
        assert family.index(child.pid) < family.index(grandchild)
        assert os.getpid() not in family and os.getppid() not in family
    finally:
        os.kill(grandchild, signal.SIGKILL)
        child.communicate()


def no_handles(pid: int) -> int:
    """pidfd_open(2) on a kernel that does not have it."""
    raise OSError(38, "Function not implemented")


@pytest.mark.parametrize("pidfds", ["there", "not in the kernel", "not in the interpreter"])
def test_a_signal_reaches_the_process_that_was_seen(pidfds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without a pidfd."""
    if pidfds == "not in the kernel":
        monkeypatch.setattr("posix.pidfd_open", no_handles, raising=False)
    elif pidfds == "not in the interpreter":
        monkeypatch.delattr("posix.pidfd_open", raising=False)
    child = subprocess.Popen(["sleep", "60"])
    seen = procfs.process(child.pid)
    assert seen is not None
    procfs.send(seen, signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM


def test_a_signal_does_not_reach_a_new_process_with_the_same_pid() -> None:
    """The start time distinguishes them."""
    child = subprocess.Popen(["sleep", "60"])
    seen = procfs.process(child.pid)
    assert seen is not None
    seen.started -= 1
    with pytest.raises(ProcessLookupError):
        procfs.send(seen, signal.SIGKILL)
    assert child.poll() is None
    child.kill()
    child.wait()


@pytest.mark.parametrize(
    ("pid", "status", "is_first"),
    [(1, b"", True), (7, b"\nNSpid:\t7\t1\n", True), (7, b"\nNSpid:\t7\t12\n", False), (7, b"\n", False)],
)
def test_the_init_of_a_nested_namespace_is_pid_1(
    pid: int, status: bytes, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The innermost pid counts. If it is unknown, the process is not PID 1."""
    monkeypatch.setattr(procfs, "read", lambda path: status)
    assert procfs.is_pid_1(pid) == is_first
