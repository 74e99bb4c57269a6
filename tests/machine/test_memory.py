"""Out of memory in a cgroup of version 2, with and without ``memory.oom.group``, which OOMPolicy=kill sets."""

import subprocess

from testing.waiting import PATIENCE

TAKES_TOO_MUCH = ["python3", "-ISc", "b'x' * 500_000_000"]


def run(launcher: str, policy: str) -> "subprocess.CompletedProcess[str]":
    """Run pyinit to its end, as a unit limited to 60 MiB."""
    limits = ["MemoryMax=60M", "MemorySwapMax=0", f"OOMPolicy={policy}"]
    command = ["systemd-run", "--quiet", "--wait", "--pipe", *(f"--property={limit}" for limit in limits)]
    return subprocess.run([*command, launcher, "--", *TAKES_TOO_MUCH], capture_output=True, text=True, timeout=PATIENCE)


def test_a_workload_that_runs_out_of_memory_is_reported(launcher: str) -> None:
    """The kernel kills the workload alone, and pyinit says why."""
    done = run(launcher, "continue")
    assert done.returncode == 137, done
    assert "was killed by SIGKILL" in done.stderr, done
    assert "out of memory (the cgroup's limit is 60 MiB, 1 kill)" in done.stderr, done


def test_with_oom_group_the_kernel_kills_pyinit_as_well(launcher: str) -> None:
    """So it cannot write a line (docs/log.md)."""
    done = run(launcher, "kill")
    assert done.returncode != 0, done
    assert done.stderr == "", done
