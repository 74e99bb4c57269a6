"""Signals that the kernel sends because of pyinit's own doing are not passed on; from other senders they are."""

import ctypes
import signal

import pytest

from pyinit.kernel.signals import name_of
from testing.namespaces import python

from .conftest import Start
from .test_signals import LISTEN, PASS_ON

FLOOD = """if True:
    import os, resource, signal, sys
    unlimited = resource.RLIM_INFINITY
    init, command = os.getppid(), sys.argv[1]
    resource.setrlimit(resource.RLIMIT_CPU, (unlimited, unlimited))
    many, answer = signal.SIGRTMIN, signal.SIGRTMIN + 1
    signal.signal(many, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [answer])
    if command == "set limit":
        resource.prlimit(init, resource.RLIMIT_CPU, (1, unlimited))
    def used():
        words = open(f"/proc/{init}/stat").read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    def is_over():
        if command == "use time":
            return used() > 0.3
        return resource.prlimit(init, resource.RLIMIT_CPU)[0] > 1
    while True:
        is_last = is_over()
        for _ in range(200):
            os.kill(init, many)
        os.kill(init, answer)
        signal.sigwait([answer])
        if is_last:
            break
    sys.exit(7)
"""
"""Keep the init busy until it has used some CPU time, or until the kernel has sent it XCPU, which raises the soft limit
by a second. The highest signal comes back when all others have been forwarded."""

SOFT_LIMIT = ["sh", "-c", 'ulimit -S -t 1; exec "$@"', "sh"]


@pytest.mark.parametrize(
    ("before", "command"),
    [(SOFT_LIMIT, "wait for limit"), ([], "set limit"), (PASS_ON, "set limit")],
    ids=["inherited", "set later", "as a subreaper"],
)
def test_our_own_cpu_limit_is_not_the_workloads(start: Start, before: list[str], command: str) -> None:
    """pyinit exceeds its soft limit. The workload has none, goes on, and ends with its own status."""
    ended = start("--", *python(FLOOD, command), before=before).end(patience=240)
    assert (ended.status, ended.err) == (7, ""), ended


SET_TIMER = """if True:
    import os, signal, sys
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF])
    signal.setitimer(getattr(signal, sys.argv[1]), 0.01, 0.01)
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""A timer is inherited by exec, but not by fork: setitimer(2). (A signal that is lost before pyinit runs ends it.)"""


@pytest.mark.parametrize("timer", ["ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"])
def test_an_inherited_timer_is_not_the_workloads(start: Start, timer: str) -> None:
    """It fires while pyinit starts, and repeatedly while the workload runs."""
    ended = start("--", *python(FLOOD, "use time"), before=python(SET_TIMER, timer)).end()
    assert (ended.status, ended.err) == (7, ""), ended


@pytest.mark.parametrize(
    "number",
    [signal.SIGPIPE, signal.SIGALRM, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGVTALRM, signal.SIGPROF],
    ids=name_of,
)
def test_one_of_them_that_was_sent_arrives(start: Start, number: int) -> None:
    """With sigqueue(3) and with kill(2)."""
    container = start("--", *python(LISTEN, "2"))
    container.expect("ready")
    container.signal(number)
    container.expect(str(int(number)))
    assert ctypes.CDLL(None).sigqueue(container.init, int(number), ctypes.c_void_p(0)) == 0
    container.expect(str(int(number)))
    assert container.end().status == 0
