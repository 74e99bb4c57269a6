"""The end of a container: processes that can end by themselves are not killed, and none delays the end."""

import re
import signal
import time
from typing import Any

import pytest
from docker.models.containers import Container

from testing.containers import Containers, await_output, ended, execute, processes, read_file, stopped
from testing.waiting import eventually

from .test_restrictions import MAY_UNMOUNT, RESTRICTIONS

# Saves its work when it is asked to end. Arguments: its name, and the seconds that saving takes.
SAVER = """
import signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(f"{sys.argv[1]}: ready", flush=True)
signal.sigwait({signal.SIGTERM})
print(f"{sys.argv[1]}: asked to go", flush=True)
time.sleep(float(sys.argv[2]))
print(f"{sys.argv[1]}: saved", flush=True)
"""

STUBBORN = "trap '' TERM; echo stubborn: ready; exec sleep 10000"

# The shell dies of TERM at once.
LAUNCHER = 'for name in one two three; do python3 -c "$0" $name 2 & done; wait'

# The usual double fork. The daemon's output goes to its log.
DAEMON = """
import os, signal, time
os.dup2(os.open("/tmp/daemon.log", os.O_CREAT | os.O_WRONLY), 1)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("daemon: ready", flush=True)
signal.sigwait({signal.SIGTERM})
time.sleep(0.5)
print("daemon: cleaned up", flush=True)
"""

# The first process leaves a successor behind and exits with a status of its own.
REEXECUTES = """
import os, signal, sys
handled = {signal.SIGUSR1, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, handled)
if os.fork():
    sys.exit(7)
print("successor: ready", flush=True)
got = None
while got != signal.SIGTERM:
    got = signal.sigwait(handled)
    print(f"successor: {got.name}", flush=True)
"""

# Runs its arguments as a worker, with a manager in between, and has another child of its own.
MANAGED = """
sleep 100 &
sh -c '"$@" & wait' manager "$@" &
wait $!
exec sleep 100
"""

# Two seconds of work that any signal would prevent.
WORKS_ON = """
import os, time
print("worker: ready", flush=True)
while os.getppid() != 1:
    time.sleep(0.01)
time.sleep(2)
print("worker: works on", flush=True)
time.sleep(100)
"""

# Prints every signal that it gets; USR1 ends it.
STRANGER = """
import signal
every = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
signal.pthread_sigmask(signal.SIG_BLOCK, every)
print("stranger: ready", flush=True)
got = None
while got != signal.SIGUSR1:
    got = signal.sigwait(every)
    print(f"stranger: signal {int(got)}", flush=True)
"""
USR1 = f"stranger: signal {int(signal.SIGUSR1)}\n"

# Leaves two orphans in sessions of their own, the second of which ignores TERM. Ends on demand.
LEAVES_TWO = """
(setsid python3 -c "$0" straggler 0 &)
(setsid sh -c "$1" &)
until [ -e /tmp/go ]; do sleep 0.02; done
exit 3
"""

# Prints the name of a `sleep` that has survived pyinit.
BESIDE_A_STRANGER = """
python3 -c "$0" &
pyinit --drain-timeout=10 -- sh -c "$1" "$2" "$3"
echo "pyinit: ended with $?"
grep -x sleep /proc/[0-9]*/comm
kill -USR1 $!
wait
"""

# A process from `docker exec` can write to the container's output only through that of PID 1.
BROUGHT_IN = """
import pathlib, signal, sys
sys.stdout = open("/proc/1/fd/1", "w")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("brought in: ready", flush=True)
signal.sigwait({signal.SIGTERM})
print("brought in: asked to go", flush=True)
pathlib.Path("/tmp/asked").touch()
signal.pause()
"""

WAITS_FOR_WHO_WAS_BROUGHT_IN = """
import pathlib, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("straggler: ready", flush=True)
while not pathlib.Path("/tmp/asked").exists():
    time.sleep(0.01)
"""

KILLED = r"1 straggler killed \(sleep after [\d.]+m?s\)"
"""In the report, if a process ignored TERM."""

LONG = {"PYINIT_DRAIN_TIMEOUT": "10000"}
"""Longer than a test waits, or an engine waits before it kills a container."""

BRIEF = {"PYINIT_DRAIN_TIMEOUT": "1"}
"""For processes that have to be killed."""

ENOUGH = {"PYINIT_DRAIN_TIMEOUT": "10"}
"""Where some have to be killed, and others save their work, also on a loaded machine."""


def await_ready(container: Container, number: int) -> None:
    """Return when `number` processes have said that they are ready."""
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(": ready\n") == number)


def test_children_of_a_launcher_that_exits_on_term_save_their_work(containers: Containers) -> None:
    """They need two more seconds, and have them. The status is the launcher's, and nothing is reported."""
    container = containers.start("sh", "-c", LAUNCHER, SAVER, environment=LONG)
    await_ready(container, 3)
    end = stopped(container)
    assert [f"{name}: saved" in end.output for name in ("one", "two", "three")] == [True] * 3, end
    assert (end.status, end.errors) == (143, "")


def test_children_of_a_launcher_lose_their_work_without_a_drain(containers: Containers) -> None:
    """This checks the test above: without a drain, as under other inits, the kernel kills them."""
    container = containers.start("sh", "-c", LAUNCHER, SAVER, environment={"PYINIT_DRAIN_TIMEOUT": "0"})
    await_ready(container, 3)
    end = stopped(container)
    assert (end.status, end.output.count("saved"), end.errors) == (143, 0, "")


def test_daemon_behind_a_foreground_tail_cleans_up(containers: Containers) -> None:
    """It has no parent but pyinit, and a session of its own."""
    container = containers.start("sh", "-c", 'python3 -c "$0"; exec tail -f /tmp/daemon.log', DAEMON, environment=LONG)
    await_ready(container, 1)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")
    assert read_file(container, "/tmp/daemon.log") == "daemon: ready\ndaemon: cleaned up\n"


def test_straggler_that_ignores_term_is_killed_and_named(containers: Containers) -> None:
    """After the drain timeout. The status is still the workload's, and one line reports it."""
    # It has this name when it has executed the program.
    leave = 'sh -c "$0" & until grep -q sleep /proc/$!/comm; do sleep 0.02; done; exit 3'
    end = containers.run("sh", "-c", leave, STUBBORN, environment=BRIEF)
    assert end.status == 3, end
    assert re.fullmatch(rf"pyinit: sh \(pid \d+\) exited with 3 .*; {KILLED}.*\n", end.errors), end


def test_straggler_that_may_not_be_killed_does_not_hold_up_the_end(containers: Containers) -> None:
    """It is another user's, and PID 1 lacks CAP_KILL. It ends with PID 1, long before the grace period does."""
    become = 'setpriv --reuid 1000 --clear-groups sh -c "$0" & exec sleep 100'
    container = containers.start("sh", "-c", become, STUBBORN, cap_drop=["KILL"], environment=BRIEF)
    await_ready(container, 1)
    assert stopped(container).status == 143


@pytest.mark.parametrize("restriction", ["read-only root", "non-root user", "all of them"])
def test_drain_needs_no_privilege(containers: Containers, restriction: str) -> None:
    """In a restricted container, processes that can save their work do, and those that do not end are killed."""
    both = 'python3 -c "$0" straggler 0.5 & sh -c "$1" & exec sleep 100'
    options: dict[str, Any] = RESTRICTIONS[restriction]
    container = containers.start("sh", "-c", both, SAVER, STUBBORN, environment=ENOUGH, **options)
    await_ready(container, 2)
    end = stopped(container)
    assert end.status == 143, end
    assert end.output.endswith("straggler: saved\n") and re.search(KILLED, end.errors), end


def test_drain_does_not_need_proc(containers: Containers) -> None:
    """PID 1 can signal all processes with one call, without seeing them."""
    leave = 'python3 -c "$0" straggler 0.5 & exec sleep 100'
    unmount = 'umount -l /proc && exec pyinit -- sh -c "$@"'
    container = containers.start("-c", unmount, "sh", leave, SAVER, entrypoint=["sh"], environment=LONG, **MAY_UNMOUNT)
    await_ready(container, 1)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")
    assert end.output.endswith("straggler: saved\n"), end


def test_end_without_stragglers_has_no_wait(containers: Containers) -> None:
    """Neither at the end of an ordinary command nor on `docker stop`, however long the drain timeout is."""
    assert containers.run("true", environment=LONG).status == 0
    container = containers.start_sleeper(environment=LONG)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")


def test_workload_that_ignores_term_is_killed_after_the_stop_timeout(containers: Containers) -> None:
    """Three seconds after `docker stop`, with a line that says so. The engine would kill it later, without one."""
    container = containers.start("sh", "-c", STUBBORN, environment={"PYINIT_STOP_TIMEOUT": "3"})
    await_ready(container, 1)
    begin = time.monotonic()
    end = stopped(container)
    assert time.monotonic() - begin >= 3
    assert end.status == 137, end
    line = (
        r"pyinit: sh \(pid \d+\) was killed by SIGKILL after \d+\.\ds: "
        r"it did not exit within \d+\.\ds of SIGTERM from outside the container; .*\n"
    )
    assert re.fullmatch(line, end.errors), end


def test_service_that_forks_a_successor_goes_on_living(containers: Containers) -> None:
    """Signals reach the successor, including `docker stop`. The status is that of the first process."""
    container = containers.start("python3", "-c", REEXECUTES, environment={"PYINIT_WAIT_FOR": "all"})
    await_ready(container, 1)
    eventually(lambda: [process.parent for process in processes(container)], holds=lambda parents: parents == [0, 1])
    container.kill("USR1")
    await_output(container, "successor: SIGUSR1\n")
    end = stopped(container)
    assert (end.status, end.errors) == (7, "")
    assert end.output == "successor: ready\nsuccessor: SIGUSR1\nsuccessor: SIGTERM\n"


def test_successor_is_asked_to_end_without_wait_for_all(containers: Containers) -> None:
    """This checks the test above: by default pyinit does not stay after the first process."""
    end = containers.run("python3", "-c", REEXECUTES, environment=LONG)
    assert (end.status, end.output, end.errors) == (7, "successor: ready\nsuccessor: SIGTERM\n", "")


def lose_manager(container: Container) -> None:
    """Kill the parent of the worker."""
    _, workload, *others = processes(container)
    [worker] = [process for process in others if process.parent != workload.pid]
    execute(container, "sh", "-c", f"kill -KILL {worker.parent}")


def test_worker_whose_parent_was_killed_is_ended(containers: Containers) -> None:
    """With --orphans=terminate it is asked to end and may save its work. Processes with a parent are left alone."""
    worker = ("python3", "-c", SAVER, "worker", "0.5")
    environment = {"PYINIT_ORPHANS": "terminate", **LONG}
    container = containers.start("sh", "-c", MANAGED, "sh", *worker, environment=environment)
    await_ready(container, 1)
    lose_manager(container)
    await_output(container, "worker: saved\n")
    eventually(
        lambda: [process.command for process in processes(container)[1:]], holds=lambda seen: seen == ["sleep 100"] * 2
    )


def test_worker_whose_parent_was_killed_lives_on(containers: Containers) -> None:
    """This is the default, because orphans may be daemons."""
    container = containers.start("sh", "-c", MANAGED, "sh", "python3", "-c", WORKS_ON)
    await_ready(container, 1)
    lose_manager(container)
    await_output(container, "worker: works on\n")


def test_stranger_beside_a_subreaper_gets_no_signal(containers: Containers) -> None:
    """If PID 1 is another program, pyinit ends all of its own stragglers, and no other process."""
    container = containers.start("-c", BESIDE_A_STRANGER, STRANGER, LEAVES_TWO, SAVER, STUBBORN, entrypoint=["sh"])
    await_ready(container, 3)
    execute(container, "touch", "/tmp/go")
    end = ended(container)
    assert end.output.endswith(f"straggler: asked to go\nstraggler: saved\npyinit: ended with 3\n{USR1}"), end
    assert end.output.count("stranger: signal") == 1, end
    assert re.search(KILLED, end.errors), end


def test_stranger_in_a_shared_pid_namespace_gets_no_signal(containers: Containers) -> None:
    """As above, with strangers of another container."""
    other = containers.start("python3", "-c", STRANGER)
    await_ready(other, 1)
    leave = ("sh", "-c", LEAVES_TWO, SAVER, STUBBORN)
    container = containers.start(*leave, pid_mode=f"container:{other.id}", environment=ENOUGH)
    await_ready(container, 2)
    end = stopped(container)
    assert end.status == 143, end
    assert end.output.endswith("straggler: asked to go\nstraggler: saved\n"), end
    assert re.search(KILLED, end.errors), end
    eventually(lambda: [process.parent for process in processes(other)], holds=lambda parents: parents == [0, 1])
    other.kill("USR1")
    assert ended(other).output == f"stranger: ready\n{USR1}"


def test_stop_signal_for_all_does_not_leave_the_container_in_a_shared_pid_namespace(containers: Containers) -> None:
    """While pyinit stays for a successor, all are its own descendants."""
    other = containers.start("python3", "-c", STRANGER)
    await_ready(other, 1)
    container = containers.start(
        "python3", "-c", REEXECUTES, pid_mode=f"container:{other.id}", environment={"PYINIT_WAIT_FOR": "all"}
    )
    await_ready(container, 1)
    eventually(lambda: processes(other), holds=lambda seen: len(seen) == 3)  # the first process has exited
    container.kill("USR1")
    await_output(container, "successor: SIGUSR1\n")
    end = stopped(container)
    assert (end.status, end.errors) == (7, "")
    assert end.output == "successor: ready\nsuccessor: SIGUSR1\nsuccessor: SIGTERM\n"
    other.kill("USR1")
    assert ended(other).output == f"stranger: ready\n{USR1}"


def test_process_from_docker_exec_is_not_waited_for(containers: Containers) -> None:
    """A user's shell does not delay the end, even if it ignores TERM."""
    container = containers.start_sleeper(environment=LONG)
    container.exec_run(["sh", "-c", f"exec >/proc/1/fd/1; {STUBBORN}"], detach=True)
    await_ready(container, 1)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")


def test_process_from_docker_exec_is_asked_to_end(containers: Containers) -> None:
    """It has as much time as the stragglers take. When they have ended, the container ends."""
    both = 'python3 -c "$0" & exec sleep 100'
    container = containers.start("sh", "-c", both, WAITS_FOR_WHO_WAS_BROUGHT_IN, environment=LONG)
    container.exec_run(["python3", "-c", BROUGHT_IN], detach=True)
    await_ready(container, 2)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")
    assert end.output.endswith("brought in: asked to go\n"), end
