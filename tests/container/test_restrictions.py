"""Containers that are as restricted as in production."""

import errno
import json
import os
from typing import Any

import pytest

from testing.containers import Containers, await_output, processes, stopped
from testing.waiting import eventually

RESTRICTIONS: dict[str, dict[str, Any]] = {
    "read-only root": {"read_only": True},
    "all capabilities dropped": {"cap_drop": ["ALL"]},
    "non-root user": {"user": "1000:1000"},
    "no-new-privileges": {"security_opt": ["no-new-privileges"]},
    "all of them": {
        "read_only": True,
        "cap_drop": ["ALL"],
        "user": "1000:1000",
        "security_opt": ["no-new-privileges"],
        "pids_limit": 20,
        "network_mode": "none",
    },
}
MAY_UNMOUNT: dict[str, Any] = {
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["apparmor=unconfined", "seccomp=unconfined"],
}
restricted = pytest.mark.parametrize("options", RESTRICTIONS.values(), ids=RESTRICTIONS)


@restricted
def test_status_is_that_of_the_workload(containers: Containers, options: dict[str, Any]) -> None:
    """And nothing is written."""
    end = containers.run("sh", "-c", "echo hello; exit 3", **options)
    assert (end.status, end.output, end.errors) == (3, "hello\n", "")


@restricted
def test_docker_stop_reaches_the_workload(containers: Containers, options: dict[str, Any]) -> None:
    """No missing privilege is needed for a signal."""
    container = containers.start_sleeper(**options)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")


@restricted
def test_no_file_is_left_behind(containers: Containers, options: dict[str, Any]) -> None:
    """PID 1 writes nothing into the container."""
    container = containers.start_sleeper(**options)
    assert len(processes(container)) == 2
    # The engine itself makes its mount points.
    engine_made = ("/dev", "/etc", "/proc", "/sys")
    changed = [str(change["Path"]) for change in container.diff() or []]
    assert [path for path in changed if not path.startswith(engine_made)] == []


def test_refused_fork_ends_in_125_with_one_line(containers: Containers) -> None:
    """Other processes reach the limit on pids before the workload exists."""
    fill = "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; exec pyinit -- true"
    end = containers.run("-c", fill, entrypoint=["sh"], pids_limit=10)
    assert end.status == 125, end
    assert end.errors.startswith("pyinit: ") and end.errors.count("\n") == 1, end.errors


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("waitid", "cannot wait for children or signals"),
        ("wait4", "cannot wait for children or signals"),
        ("rt_sigtimedwait", "cannot wait for children or signals"),
        ("setsid", "cannot start a session"),
        ("writev", "cannot start a process"),
    ],
)
def test_without_a_system_call_that_it_needs_it_ends_with_one_line(
    containers: Containers, call: str, reason: str
) -> None:
    """A sandbox refuses it from the start. `make soak` tries all system calls."""
    refusal = {"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}
    profile = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refusal]})
    command = ["pyinit", "--session", "-w", "--"]
    security = ["no-new-privileges", f"seccomp={profile}"]
    end = containers.run("sleep", "5", entrypoint=command, security_opt=security)  # long enough to be waited for
    told = f"pyinit: cannot go on: {reason}: {os.strerror(errno.ENOSYS)}\n"
    assert (end.status, end.errors) == (125, told)


def test_proc_is_not_needed(containers: Containers) -> None:
    """With /proc unmounted the status is still the workload's."""
    command = "umount -l /proc && exec pyinit -- sh -c 'ls /proc; exit 3'"
    end = containers.run("-c", command, entrypoint=["sh"], **MAY_UNMOUNT)
    assert (end.status, end.output, end.errors) == (3, "", "")


def test_orphans_are_reaped_without_proc(containers: Containers) -> None:
    """Reaping does not need /proc, which is mounted again only for the test to look."""
    leak = "for i in $(seq 50); do (true &); done; mount -t proc proc /proc; echo mounted; exec sleep 100"
    command = f"umount -l /proc && exec pyinit -- sh -c '{leak}'"
    container = containers.start("-c", command, entrypoint=["sh"], **MAY_UNMOUNT)
    await_output(container, "mounted")
    eventually(lambda: processes(container), holds=lambda seen: len(seen) == 2)
