"""The end of a container: who could have ended by itself is not killed, and nobody holds it up."""

import re
import signal
import time
from typing import Any

import pytest
from docker.models.containers import Container

from testing.containers import Containers, await_output, ended, execute, processes, read_file, stopped
from testing.waiting import eventually

from .test_restrictions import MAY_UNMOUNT, RESTRICTIONS

# Saves its work when it is asked to go. Arguments: its name, and the seconds that saving takes.
SAVER = """
import signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(f"{sys.argv[1]}: ready", flush=True)
signal.sigwait({signal.SIGTERM})
print(f"{sys.argv[1]}: asked to go", flush=True)
time.sleep(float(sys.argv[2]))
print(f"{sys.argv[1]}: saved", flush=True)
"""

STUBBORN = "trap '' TERM; echo stubborn: ready; exec sleep 100"

# The shell dies of TERM at once.
LAUNCHER = 'for name in one two three; do python3 -c "$0" $name 2 & done; wait'

# The double fork of the textbooks. What a daemon says goes to its log.
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

# Runs its arguments as a worker with a manager in between, and has a child of its own besides.
MANAGED = """
sleep 100 &
sh -c '"$@" & wait' manager "$@" &
wait $!
exec sleep 100
"""

# Two seconds of work that it could not do if it were sent a signal.
WORKS_ON = """
import os, time
print("worker: ready", flush=True)
while os.getppid() != 1:
    time.sleep(0.01)
time.sleep(2)
print("worker: works on", flush=True)
time.sleep(100)
"""

# Tells every signal that it gets; USR1 ends it.
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

# Two orphans in sessions of their own, the second one stubborn. Ends when it may.
LEAVES_TWO = """
(setsid python3 -c "$0" straggler 0 &)
(setsid sh -c "$1" &)
until [ -e /tmp/go ]; do sleep 0.02; done
exit 3
"""

# Names a `sleep` that has survived pyinit.
BESIDE_A_STRANGER = """
python3 -c "$0" &
pyinit --drain-timeout=1 -- sh -c "$1" "$2" "$3"
echo "pyinit: ended with $?"
grep -x sleep /proc/[0-9]*/comm
kill -USR1 $!
wait
"""

# What `docker exec` brings in has no output of the container's but by way of PID 1's.
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
"""In the report, where there was a stubborn process."""

LONG = {"PYINIT_DRAIN_TIMEOUT": "60"}
"""Longer than a test waits, or an engine that has been asked to stop a container."""

BRIEF = {"PYINIT_DRAIN_TIMEOUT": "1"}
"""For those who have to be killed."""


def await_ready(container: Container, number: int) -> None:
    """Return when so many processes have said that they are ready."""
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(": ready\n") == number)


def test_children_of_a_launcher_that_exits_on_term_save_their_work(containers: Containers) -> None:
    """They need two more seconds, and have them; the status is the launcher's, and nothing is said."""
    container = containers.start("sh", "-c", LAUNCHER, SAVER)
    await_ready(container, 3)
    end = stopped(container)
    assert [f"{name}: saved" in end.output for name in ("one", "two", "three")] == [True] * 3, end
    assert (end.status, end.errors) == (143, "")


def test_children_of_a_launcher_lose_their_work_if_nobody_waits(containers: Containers) -> None:
    """The check of the test above: without a drain, as under other inits, the kernel kills them."""
    container = containers.start("sh", "-c", LAUNCHER, SAVER, environment={"PYINIT_DRAIN_TIMEOUT": "0"})
    await_ready(container, 3)
    end = stopped(container)
    assert (end.status, end.output.count("saved"), end.errors) == (143, 0, "")


def test_daemon_behind_a_foreground_tail_cleans_up(containers: Containers) -> None:
    """It has no parent but pyinit, and a session of its own."""
    container = containers.start("sh", "-c", 'python3 -c "$0"; exec tail -f /tmp/daemon.log', DAEMON)
    await_ready(container, 1)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")
    assert read_file(container, "/tmp/daemon.log") == "daemon: ready\ndaemon: cleaned up\n"


def test_straggler_that_ignores_term_is_killed_and_named(containers: Containers) -> None:
    """After the drain timeout; the status stays the workload's, and one line tells of it."""
    # The name is that of the program once it has been executed.
    leave = 'sh -c "$0" & until grep -q sleep /proc/$!/comm; do sleep 0.02; done; exit 3'
    end = containers.run("sh", "-c", leave, STUBBORN, environment=BRIEF)
    assert end.status == 3, end
    assert re.fullmatch(rf"pyinit: sh \(pid \d+\) exited with 3 .*; {KILLED}.*\n", end.errors), end


def test_straggler_that_may_not_be_killed_does_not_hold_up_the_end(containers: Containers) -> None:
    """Another user's process, where PID 1 lacks CAP_KILL: it goes with PID 1, long before the engine gets impatient."""
    become = 'setpriv --reuid 1000 --clear-groups sh -c "$0" & exec sleep 100'
    container = containers.start("sh", "-c", become, STUBBORN, cap_drop=["KILL"], environment=BRIEF)
    await_ready(container, 1)
    assert stopped(container).status == 143


@pytest.mark.parametrize("restriction", ["read-only root", "non-root user", "all of them"])
def test_drain_needs_no_privilege(containers: Containers, restriction: str) -> None:
    """In a container as locked up as one would deploy it, who can save its work does, and who will not go is killed."""
    both = 'python3 -c "$0" straggler 0.5 & sh -c "$1" & exec sleep 100'
    options: dict[str, Any] = RESTRICTIONS[restriction]
    container = containers.start("sh", "-c", both, SAVER, STUBBORN, environment=BRIEF, **options)
    await_ready(container, 2)
    end = stopped(container)
    assert end.status == 143, end
    assert end.output.endswith("straggler: saved\n") and re.search(KILLED, end.errors), end


def test_drain_does_not_need_proc(containers: Containers) -> None:
    """PID 1 has a call that reaches everybody: it need not see them."""
    leave = 'python3 -c "$0" straggler 0.5 & exec sleep 100'
    unmount = 'umount -l /proc && exec pyinit -- sh -c "$@"'
    container = containers.start("-c", unmount, "sh", leave, SAVER, entrypoint=["sh"], **MAY_UNMOUNT)
    await_ready(container, 1)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")
    assert end.output.endswith("straggler: saved\n"), end


def test_end_without_stragglers_waits_for_nobody(containers: Containers) -> None:
    """Neither at the end of a plain command nor on `docker stop`, however long stragglers would have."""
    assert containers.run("true", environment=LONG).status == 0
    container = containers.start_sleeper(environment=LONG)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")


def test_workload_that_ignores_term_is_killed_after_the_stop_timeout(containers: Containers) -> None:
    """Three seconds after `docker stop`, and with a line that says so; not by the engine after ten, with none."""
    container = containers.start("sh", "-c", STUBBORN, environment={"PYINIT_STOP_TIMEOUT": "3"})
    await_ready(container, 1)
    begin = time.monotonic()
    container.stop(timeout=10)
    assert 3 <= time.monotonic() - begin < 6
    end = ended(container)
    assert end.status == 137, end
    line = (
        r"pyinit: sh \(pid \d+\) was killed by SIGKILL after \d+\.\ds: "
        r"it did not exit within 3\.\ds of SIGTERM from outside the container; .*\n"
    )
    assert re.fullmatch(line, end.errors), end


def test_service_that_forks_a_successor_goes_on_living(containers: Containers) -> None:
    """Signals reach the successor, `docker stop` too; the status is that of the first process."""
    container = containers.start("python3", "-c", REEXECUTES, environment={"PYINIT_WAIT_FOR": "all"})
    await_ready(container, 1)
    eventually(lambda: [process.parent for process in processes(container)], holds=lambda parents: parents == [0, 1])
    container.kill("USR1")
    await_output(container, "successor: SIGUSR1\n")
    end = stopped(container)
    assert (end.status, end.errors) == (7, "")
    assert end.output == "successor: ready\nsuccessor: SIGUSR1\nsuccessor: SIGTERM\n"


def test_successor_is_asked_to_go_where_nobody_waits_for_all(containers: Containers) -> None:
    """The check of the test above: by default the end of the first process is the end."""
    end = containers.run("python3", "-c", REEXECUTES)
    assert (end.status, end.output, end.errors) == (7, "successor: ready\nsuccessor: SIGTERM\n", "")


def lose_manager(container: Container) -> None:
    """Kill the parent of the worker."""
    _, workload, *others = processes(container)
    [worker] = [process for process in others if process.parent != workload.pid]
    execute(container, "sh", "-c", f"kill -KILL {worker.parent}")


def test_worker_whose_parent_was_killed_is_ended(containers: Containers) -> None:
    """With --orphans=terminate it is asked to go and may save its work; who has a parent is left alone."""
    worker = ("python3", "-c", SAVER, "worker", "0.5")
    container = containers.start("sh", "-c", MANAGED, "sh", *worker, environment={"PYINIT_ORPHANS": "terminate"})
    await_ready(container, 1)
    lose_manager(container)
    await_output(container, "worker: saved\n")
    eventually(
        lambda: [process.command for process in processes(container)[1:]], holds=lambda seen: seen == ["sleep 100"] * 2
    )


def test_worker_whose_parent_was_killed_lives_on(containers: Containers) -> None:
    """The default: there are daemons among the orphans."""
    container = containers.start("sh", "-c", MANAGED, "sh", "python3", "-c", WORKS_ON)
    await_ready(container, 1)
    lose_manager(container)
    await_output(container, "worker: works on\n")


def test_stranger_beside_a_subreaper_gets_no_signal(containers: Containers) -> None:
    """Where PID 1 is another, pyinit ends its own stragglers, wherever they went, all of them and nobody else."""
    container = containers.start("-c", BESIDE_A_STRANGER, STRANGER, LEAVES_TWO, SAVER, STUBBORN, entrypoint=["sh"])
    await_ready(container, 3)
    execute(container, "touch", "/tmp/go")
    end = ended(container)
    assert end.output.endswith(f"straggler: asked to go\nstraggler: saved\npyinit: ended with 3\n{USR1}"), end
    assert end.output.count("stranger: signal") == 1, end
    assert re.search(KILLED, end.errors), end


def test_stranger_in_a_shared_pid_namespace_gets_no_signal(containers: Containers) -> None:
    """As above, where the strangers are another container's."""
    other = containers.start("python3", "-c", STRANGER)
    await_ready(other, 1)
    leave = ("sh", "-c", LEAVES_TWO, SAVER, STUBBORN)
    container = containers.start(*leave, pid_mode=f"container:{other.id}", environment=BRIEF)
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
    eventually(lambda: processes(other), holds=lambda seen: len(seen) == 3)  # the first process has gone
    container.kill("USR1")
    await_output(container, "successor: SIGUSR1\n")
    end = stopped(container)
    assert (end.status, end.errors) == (7, "")
    assert end.output == "successor: ready\nsuccessor: SIGUSR1\nsuccessor: SIGTERM\n"
    other.kill("USR1")
    assert ended(other).output == f"stranger: ready\n{USR1}"


def test_process_that_docker_exec_brought_in_is_not_waited_for(containers: Containers) -> None:
    """Somebody's shell does not hold up the end, even if it ignores TERM."""
    container = containers.start_sleeper(environment=LONG)
    container.exec_run(["sh", "-c", f"exec >/proc/1/fd/1; {STUBBORN}"], detach=True)
    await_ready(container, 1)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")


def test_process_that_docker_exec_brought_in_is_asked_to_go(containers: Containers) -> None:
    """It has the time that stragglers have, and when they have gone the container ends."""
    both = 'python3 -c "$0" & exec sleep 100'
    container = containers.start("sh", "-c", both, WAITS_FOR_WHO_WAS_BROUGHT_IN, environment=LONG)
    container.exec_run(["python3", "-c", BROUGHT_IN], detach=True)
    await_ready(container, 2)
    end = stopped(container)
    assert (end.status, end.errors) == (143, "")
    assert end.output.endswith("brought in: asked to go\n"), end
