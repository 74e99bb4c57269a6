"""What a hostile workload can and cannot do to PID 1: the claims of docs/security.md."""

import errno
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from testing.compiler import compile_c
from testing.coverage import copy_package
from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, clean_environment, python
from testing.processes import memory
from testing.waiting import PATIENCE, eventually

from .conftest import Run, Start
from .test_reaping import ORPHANS

WITHOUT_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
"""Root without capabilities: the same user as PID 1, without any privilege."""

ATTACKS = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *what, long result) { printf("%s: %s\n", what, result < 0 ? strerror(errno) : "done"); }

static long opened(const char *path, int flags) { return open(path, flags | O_NONBLOCK); }

static long queued(int number, int code, int pid)
{
    siginfo_t info = {.si_signo = number, .si_code = code};
    info.si_pid = pid;
    return syscall(SYS_rt_sigqueueinfo, 1, number, &info);
}

static void all(void)
{
    struct rlimit limit = {0, 0};
    cpu_set_t processors;
    tell("signal", kill(1, SIGWINCH));
    tell("queue", queued(SIGWINCH, SI_QUEUE, 0));
    tell("read memory", opened("/proc/1/environ", O_RDONLY));
    tell("write memory", opened("/proc/1/mem", O_RDWR));
    tell("list descriptors", opendir("/proc/1/fd") ? 0 : -1);
    tell("write to standard error", opened("/proc/1/fd/2", O_WRONLY));
    tell("choose for want of memory", opened("/proc/1/oom_score_adj", O_WRONLY));
    tell("limit", prlimit(1, RLIMIT_CORE, &limit, NULL));
    tell("move", sched_getaffinity(0, sizeof processors, &processors) < 0 ? -1
                 : sched_setaffinity(1, sizeof processors, &processors));
    tell("slow down", setpriority(PRIO_PROCESS, 1, 1));
    long trace = ptrace(PTRACE_SEIZE, 1, 0, 0);
    tell("trace", trace);
    if (trace == 0) {
        ptrace(PTRACE_INTERRUPT, 1, 0, 0);
        waitpid(1, NULL, __WALL);
        ptrace(PTRACE_DETACH, 1, 0, 0);
    }
}

static void flood(long count)
{
    /* With forwarded signals that can be blocked, and neither stop nor end anything. */
    sigset_t set;
    long refused = 0;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (long i = 0; i < count; i++)
        for (int number = SIGRTMAX; number > 0; number--)
            if (number >= SIGRTMIN || number == SIGUSR1 || number == SIGCHLD || number == SIGHUP || number == SIGPIPE)
                refused += queued(number, SI_QUEUE, i % 3) < 0;
    printf("%s\n", refused ? "the queue was full" : "the queue had room for all");
}

static long sent_by_kernel(int number)
{
    int ends[2];
    if (pipe(ends) || fcntl(ends[0], F_SETOWN, 1) || fcntl(ends[0], F_SETSIG, number)) return -1;
    if (fcntl(ends[0], F_SETFL, O_ASYNC)) return -1;
    return write(ends[1], "x", 1);
}

static void trace(int target)
{
    /* Until there is something to read. A tracer that ends detaches from all. */
    char byte;
    tell("trace", ptrace(PTRACE_SEIZE, target, 0, 0));
    if (read(0, &byte, 1) < 0) perror("read");
}

static void stop_new_ones(int most)
{
    /* A child that stays behind, ignores SIGTERM, stops every process that starts later, and tries to look into it.
     * Many others read a pipe: they are looked at again and again, and that takes a while. */
    char path[32];
    int ends[2];
    signal(SIGTERM, SIG_IGN);
    if (pipe(ends) || fork()) _exit(7);
    int reader = 0;
    for (int i = 0; i < 50; i++) {
        reader = fork();
        if (!reader) {
            dup2(ends[0], 0);
            close(ends[1]);
            for (;;) pause();
        }
    }
    for (int pid = reader + 1;; pid = pid < reader + most ? pid + 1 : reader + 1) {
        if (kill(pid, SIGSTOP)) continue;
        snprintf(path, sizeof path, "/proc/%d/mem", pid);
        tell("write memory", opened(path, O_RDWR));
    }
}

int main(int count, char **words)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count == 2) all();
    else if (!strcmp(words[1], "flood")) flood(atol(words[2]));
    else if (!strcmp(words[1], "queue")) tell("queue", queued(SIGTERM, atoi(words[2]), 0));
    else if (!strcmp(words[1], "trace")) trace(atoi(words[2]));
    else if (!strcmp(words[1], "stop")) stop_new_ones(atoi(words[2]));
    else if (!strcmp(words[1], "own")) tell("own", sent_by_kernel(SIGTERM));
    return 0;
}
"""

HAS_LOADED = """
    def has_loaded():
        for number in posix.listdir("/proc/1/fd"):
            path = f"/proc/1/fd/{number}"
            try:
                if "pyinit-status" in posix.readlink(path) and posix.stat(path).st_size:
                    return True
            except FileNotFoundError:  # closed just now
                pass
        return False
"""
"""A function for a workload: whether PID 1 has loaded all that it will need, and then published its counters."""

HOLDS = {
    "signal", "queue", "read memory", "write memory", "list descriptors", "write to standard error",
    "choose for want of memory", "limit", "move", "slow down", "trace",
}  # fmt: skip
"""The attempts of the program above."""


@pytest.fixture(scope="session")
def attacker(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program above, where any user may execute it."""
    top = tmp_path_factory.mktemp("attacker")
    for folder in (top, *top.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    program = compile_c(ATTACKS, top / "attacker")
    program.chmod(0o755)
    return str(program)


def outcomes(out: str) -> dict[str, str]:
    """The outcome of each attempt."""
    return dict(line.split(": ", 1) for line in out.splitlines())


# Another user.


def test_another_user_can_do_nothing_to_pid_1(run: Run, attacker: str) -> None:
    """With --user PID 1 is root and the workload is not: it may not even signal PID 1."""
    ended = run("-u", "1010:1010", "--", attacker, "all")
    assert (ended.status, ended.err) == (0, "")
    seen = outcomes(ended.out)
    assert set(seen) == HOLDS
    assert set(seen.values()) == {"Operation not permitted", "Permission denied"}, seen


def test_a_workload_without_pid_1s_standard_error_cannot_write_to_the_log(run: Run) -> None:
    """If it is another user, and its own standard error goes to standard output."""
    script = "exec 2>&1; (exit 3) & echo 'pyinit: forged' > /proc/1/fd/2; echo 'pyinit: forged' >&2; kill -KILL $$"
    ended = run("-u", "1010:1010", "--", "sh", "-c", script)
    assert "/proc/1/fd/2: Permission denied" in ended.out and "pyinit: forged" in ended.out
    assert re.fullmatch(r"pyinit: sh \(pid \d+\) was killed by SIGKILL after [^\n]*\n", ended.err), ended


def test_a_termination_log_that_is_a_link_does_not_lead_to_files_of_root(run: Run, tmp_path: Path) -> None:
    """PID 1 is root, and the folder is the workload's: with a link in it, root must not write to root's files."""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(0o755)
    (tmp_path / "roots").write_text("")
    (tmp_path / "users").mkdir()
    os.chown(tmp_path / "users", 1010, 1010)
    option = f"--termination-log={tmp_path}/users/log"
    ended = run("-u", "1010:1010", option, "--", "sh", "-c", f"ln -s ../roots {tmp_path}/users/log; kill -KILL $$")
    assert (tmp_path / "roots").read_text() == "", ended
    assert (ended.status, ended.err.splitlines()[1]) == (
        137,
        f"pyinit: cannot write to the termination log '{tmp_path}/users/log': Permission denied",
    )
    (tmp_path / "users/log").unlink()
    ended = run("-u", "1010:1010", option, "--", "sh", "-c", "kill -KILL $$")
    assert (tmp_path / "users/log").read_text() == ended.err


NOT_STARTED: dict[str, tuple[list[str], dict[str, str]]] = {
    "malformed variable": (["--", "true"], {"PYINIT_USER": "1010:1010", "PYINIT_STOP_TIMEOUT": "5s"}),
    "no program": ([], {"PYINIT_USER": "1010:1010"}),
    "malformed flag": (["-u", "1010:1010", "--stop-timeout=5s", "--", "true"], {}),
    "malformed flag before the user": (["--stop-timeout=5s", "-u", "1010:1010", "--", "true"], {}),
    "unknown flag before the user": (["--nope", "5", "-u", "1010:1010", "true"], {}),
    "unknown letter before the user": (["-xu", "1010:1010", "true"], {}),
    "user of the program": (["-u", "1010:1010", "--stop-timeout=5s", "true", "-u", "root"], {}),
    "another user of the program": (["--nope", "-u", "1010:1010", "true", "-u", "root"], {}),
    "variable and user of the program": (["--nope", "true", "-u", "root"], {"PYINIT_USER": "1010:1010"}),
    "unknown user": (["-u", "no-such-user", "--", "true"], {}),
    "unknown user in the variable": (["--", "true"], {"PYINIT_USER": "no-such-user"}),
    "unknown user after a malformed flag": (["--nope", "-u", "no-such-user", "--", "true"], {}),
    "no user": (["-u"], {}),
    "no right to become the user": (["-u", "1010:1010", "--", "true"], {}),
}
"""Command lines and variables with which nothing is started."""


@pytest.mark.parametrize("case", NOT_STARTED)
def test_an_error_at_the_start_does_not_lead_to_files_of_root(run: Run, tmp_path: Path, case: str) -> None:
    """The link was left there by an earlier run: a volume outlives it. The user's own log gets the line."""
    words, variables = NOT_STARTED[case]
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(0o755)
    roots, own, link = tmp_path / "roots", tmp_path / "own", tmp_path / "link"
    for path in (roots, own):
        path.write_text("")
        path.chmod(0o600)
    os.chown(own, 1010, 1010)
    before = WITHOUT_SETUID if case == "no right to become the user" else []
    for target in (roots, own):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        ended = run(*words, before=before, env=clean_environment(PYINIT_TERMINATION_LOG=str(link), **variables))
        assert ended.status == 125 and roots.read_text() == "", ended
        is_written = target == own and "1010:1010" in [*words, *variables.values()] and not before
        assert ("cannot write to the termination log" in ended.err) == (not is_written), ended
        assert own.read_text() == ended.err[: ended.err.index("\n") + 1] * is_written


WITHOUT_SETUID = ["setpriv", "--bounding-set=-setuid"]


@pytest.mark.parametrize(
    ("user", "before"),
    [("no-such-user", []), ("1010:1010", WITHOUT_SETUID), ("1010:1010", ["unshare", "--user", "--map-root-user"])],
    ids=["unknown", "no right", "no such id in the user namespace"],
)
def test_a_user_that_cannot_be_had_is_reported_where_every_user_may_write(
    run: Run, tmp_path: Path, user: str, before: list[str]
) -> None:
    """As Kubernetes' termination log is; not through a link, and no file is made."""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(0o755)
    log, link = tmp_path / "log", tmp_path / "link"
    log.touch()
    log.chmod(0o666)
    ended = run(f"--termination-log={log}", "-u", user, "--", "true", before=before)
    assert ended.status == 125 and log.read_text() == ended.err and ended.err.count("\n") == 1, ended
    if user != "no-such-user":
        log.chmod(0o600)
        ended = run(f"--termination-log={log}", "-u", user, "--", "true", before=before)
        assert "cannot write to the termination log" in ended.err and log.read_text() == ended.err.splitlines(True)[0]
        log.chmod(0o666)
        link.symlink_to(log)
        ended = run(f"--termination-log={link}", "-u", user, "--", "true", before=before)
        assert "cannot write to the termination log" in ended.err and log.read_text() == ended.err.splitlines(True)[0]
    link.unlink(missing_ok=True)
    ended = run(f"--termination-log={link}", "-u", user, "--", "true", before=before)
    assert "cannot write to the termination log" in ended.err and not link.exists()


# What looks at the user's processes, as that user.


WITHOUT_PTRACE = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]
"""As in a container: root may not look at another user's descriptors, and so a child of pyinit looks as that user."""


def test_who_stops_what_looks_as_the_user_neither_reads_it_nor_puts_off_the_end(run: Run, attacker: str) -> None:
    """That process can be signalled, since it is the user's; pyinit gives it up after half a second."""
    since = time.monotonic()
    ended = run("-u", "1010:1010", "--drain-timeout=10", "--", attacker, "stop", "200", before=WITHOUT_PTRACE)
    took = time.monotonic() - since
    assert ended.status == 7, ended
    given_up_just_then = {f"write memory: {os.strerror(code)}" for code in (errno.ENOENT, errno.ESRCH)}
    assert set(ended.out.splitlines()) - given_up_just_then == {"write memory: Permission denied"}, ended
    assert took < 50, f"it took {took:.1f} s: {ended}"


# The same user.


def test_a_signal_cannot_end_or_stop_pid_1_from_inside(start: Start) -> None:
    """Not even as root with all capabilities: the kernel drops such signals (pid_namespaces(7)). Signals that stand for
    a fault are forwarded like any other."""
    program = """
    import _signal
    faults = [4, 5, 6, 7, 8, 11, 31]
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [*faults, _signal.SIGUSR1])
    for number in (9, 19, *faults):
        for _ in range(10):
            posix.kill(1, number)
    posix.close(leak(50))
    print(all_gone(60), flush=True)
    posix.kill(1, _signal.SIGUSR1)
    for number in (*faults, _signal.SIGUSR1):
        print(int(_signal.sigwait([number])), flush=True)
    posix._exit(0)
    """
    container = start("--", *python(ORPHANS + program))
    container.expect("True")
    for number in (4, 5, 6, 7, 8, 11, 31, signal.SIGUSR1):
        container.expect(str(int(number)))
    assert container.end().status == 0


def test_the_same_user_can_do_everything_to_pid_1(run: Run, attacker: str) -> None:
    """The kernel allows all of it, without any capability. (Yama may forbid tracing.)"""
    ended = run("--", attacker, "all", before=WITHOUT_CAPABILITIES)
    yama = Path("/proc/sys/kernel/yama/ptrace_scope")
    is_restricted = yama.exists() and yama.read_text() != "0\n"
    seen = outcomes(ended.out)
    done = {what for what, outcome in seen.items() if outcome == "done"}
    assert done == (HOLDS - {"trace", "write memory"} if is_restricted else HOLDS), seen


@pytest.mark.parametrize("wait", ["pass", "while not has_loaded(): pass"], ids=["at once", "when it has all it needs"])
def test_limits_that_the_workload_sets_for_pid_1_do_not_stop_it(run: Run, wait: str) -> None:
    """Without descriptors, memory, queue or files: orphans are reaped, signals forwarded, and the status is right."""
    program = f"""
    import resource, _signal
    {wait}
    for name in ("NOFILE", "AS", "DATA", "STACK", "FSIZE", "NPROC", "SIGPENDING", "MEMLOCK", "CORE", "MSGQUEUE"):
        resource.prlimit(1, getattr(resource, "RLIMIT_" + name), (0, 0))
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGUSR1])
    for turn in range(30):
        posix.close(leak(20))
        posix.kill(1, _signal.SIGUSR1)
        _signal.sigwait([_signal.SIGUSR1])
    sys.exit(7 if all_gone(60) else 1)
    """
    ended = run("-v", "--", *python(ORPHANS + HAS_LOADED + program), before=[*IN_TIME, *WITHOUT_CAPABILITIES])
    assert ended.status == 7, ended


def test_a_limit_on_its_cpu_time_ends_pid_1(start: Start, attacker: str) -> None:
    """The kernel enforces only this limit with SIGKILL. A workload of the same user can end the container this way."""
    limits = "--cpu=1:1 --sigpending=2000"  # a longer queue would leave the user's other processes none
    words = ["sh", "-c", f'prlimit --pid 1 {limits}; exec "$0" flood 1000000000', attacker]
    ended = start("-q", "--exit-report=always", "--", *words, before=WITHOUT_CAPABILITIES).end(patience=240)
    assert "pyinit: " not in ended.err, "it could write a report"


def test_a_tracer_of_the_workload_delays_its_end_and_nothing_else(start: Start, attacker: str) -> None:
    """The parent learns of the end only after the tracer has waited (ptrace(2)). Meanwhile others are reaped."""
    program = f"""
    import os, subprocess
    writer = leak(20)
    tracer = subprocess.Popen([{attacker!r}, "trace", str(os.getpid())], stdin=0, stdout=subprocess.PIPE)
    tracer.stdout.readline()
    print("traced", flush=True)
    posix._exit(7)
    """
    container = start("--wait-for=all", "--", *python(ORPHANS + program), stdin=subprocess.PIPE)
    container.expect("traced")
    init = psutil.Process(container.init)

    def left() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for one in init.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # reaped just now
                found.append((one.name(), one.status()))
        return found

    workload = (Path(INTERPRETER).name, psutil.STATUS_ZOMBIE)
    eventually(
        lambda: sorted(left()) == sorted([("attacker", psutil.STATUS_SLEEPING), workload]), "the others are gone"
    )
    container.say()
    assert container.end().status == 7


def test_a_subreaper_is_killed_as_any_process(launcher: str) -> None:
    """If pyinit is not PID 1, a process of the same user can kill it."""
    done = subprocess.run([launcher, "--", "sh", "-c", "kill -KILL $PPID"], timeout=PATIENCE)
    assert done.returncode == -signal.SIGKILL


def test_a_lease_on_the_termination_log_does_not_delay_the_end(run: Run, tmp_path: Path) -> None:
    """With a lease (fcntl(2)), opening the file could block for 45 seconds."""
    log = tmp_path / "log"
    log.touch()
    program = f"""if True:
        import fcntl, os, signal
        fcntl.fcntl(os.open({str(log)!r}, os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if os.fork():
            os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()
    """
    ended = run(f"--termination-log={log}", "--drain-timeout=0", "--", *python(program))
    warning = f"pyinit: cannot write to the termination log '{log}': Resource temporarily unavailable"
    assert (ended.status, ended.err.splitlines()[1:]) == (137, [warning])


@pytest.mark.parametrize(
    "statement",
    [
        "fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)",
        "os.ftruncate(fd, 0)",
        "os.ftruncate(fd, 1 << 40)",
        "os.pwrite(fd, b'pyinit-status 1 9 99999 1' * 1000, 0)",
        "fcntl.flock(fd, fcntl.LOCK_EX); fcntl.lockf(fd, fcntl.LOCK_EX)",
        "os.fchmod(fd, 0)",
    ],
)
def test_counters_that_the_workload_overwrites_do_no_harm(start: Start, bin_folder: Path, statement: str) -> None:
    """The same user may write there. PID 1 goes on, and pyinitctl shows the counters, or one line that says why not."""
    program = f"""
    import fcntl, os, _signal
    input()
    [path] = [path for path in map("/proc/1/fd/{{}}".format, os.listdir("/proc/1/fd"))
              if "pyinit-status" in os.readlink(path)]
    os.chmod(path, 0o600)
    fd = os.open(path, os.O_RDWR)
    {statement}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGUSR1])
    for turn in range(5):
        posix.close(leak(20))
        posix.kill(1, _signal.SIGUSR1)
        _signal.sigwait([_signal.SIGUSR1])
    print(all_gone(60), flush=True)
    input()
    sys.exit(7)
    """
    container = start("--", *python(ORPHANS + program), before=WITHOUT_CAPABILITIES, stdin=subprocess.PIPE)
    container.await_rest()
    container.say()
    container.expect("True")
    enter = container.enter
    done = subprocess.run(
        [*enter, bin_folder / "pyinitctl", "status"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0 or (done.returncode, done.stderr.count("\n")) == (3, 1), done
    container.say()
    ended = container.end()
    # PID 1 says once that it cannot write there, and need not notice anything else.
    line = "pyinit: cannot publish the counters for pyinitctl: Operation not permitted\n"
    assert (ended.status, ended.err) == (7, line if "F_SEAL_WRITE" in statement else ""), ended


# Floods.


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_flood_of_queued_signals_takes_no_memory_and_holds_nothing_up(
    start: Start, attacker: str, log_format: str
) -> None:
    """Until the kernel's queue is full, each with a forged sender, while the log is not read."""
    program = f"""
    import os, resource, subprocess, _signal
    for number in _signal.valid_signals() - {{9, 15, 19}}:
        _signal.signal(number, _signal.SIG_IGN if number != 17 else _signal.SIG_DFL)
    input()
    resource.prlimit(1, resource.RLIMIT_SIGPENDING, (2000, 2000))
    print(subprocess.run([{attacker!r}, "flood", "5000"], stdout=subprocess.PIPE, text=True).stdout.strip(), flush=True)
    posix.close(leak(100))
    print(all_gone(60), flush=True)
    input()
    sys.exit(7)
    """
    container = start(
        "-vvv", f"--log-format={log_format}", "--", *python(ORPHANS + program),
        before=WITHOUT_CAPABILITIES, stdin=subprocess.PIPE,
    )  # fmt: skip
    container.await_rest()
    before = memory(container.init, "Anonymous")  # RssAnon of /proc/PID/status is not exact
    container.say()
    container.expect("the queue was full")
    container.expect("True")
    container.await_rest()
    assert memory(container.init, "Anonymous") < before + 256, "kB"
    assert container.process.stderr is not None
    told = os.read(container.process.stderr.fileno(), 1 << 16).decode()  # so that there is room for the last lines
    container.say()
    ended = container.end()
    lines = (told + ended.err).splitlines()
    assert ended.status == 7
    assert all(line.startswith("pyinit: " if log_format == "text" else '{"time": ') for line in lines), lines
    assert sum(map(int, re.findall(r"(\d+) log lines were dropped", told + ended.err))) > 1000


# Names and senders.


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_name_can_forge_a_line(start: Start, tmp_path: Path, log_format: str) -> None:
    """The name of an orphan, of the sender of a signal, of a straggler, or of the program."""
    name = "\npyinit: x\x1b[2J"
    (tmp_path / name).symlink_to(INTERPRETER)
    program = f"""
    import os, _signal
    def call(name):
        with open("/proc/self/comm", "wb") as file:
            file.write(name)
    signals = [_signal.SIGUSR1, _signal.SIGTERM]
    _signal.pthread_sigmask(_signal.SIG_BLOCK, signals)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(writer)
        call({name.encode()!r})
        if os.fork():
            posix.kill(1, _signal.SIGUSR1)
        os.read(reader, 1)
        os._exit(3)
    _signal.sigwait(signals)
    os.close(writer)
    os.wait()
    all_gone(60)
    if os.fork() == 0:
        call({name.encode()!r})
        posix.kill(1, _signal.SIGTERM)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, signals)
        _signal.pause()
    _signal.sigwait(signals)
    sys.exit(7)
    """
    options = ["-v", "-w", f"--log-format={log_format}", "--drain-timeout=60"]
    ended = start(*options, "--", str(tmp_path / name), "-ISc", ORPHANS + program).end()
    lines = ended.err.split("\n")
    assert ended.status == 7 and lines.pop() == "", ended
    assert all(line.isprintable() for line in lines), lines
    if log_format == "text":
        starts = ["started /", "SIGUSR1 from pid ", "reaped pid ", "SIGTERM from pid ", "asking 1 remaining process "]
        starts.append("\\x0apyinit: x\\x1b[2J (pid 2) exited ")
        assert all(line.removeprefix("pyinit: ").startswith((*starts,)) for line in lines), lines
        messages = lines
    else:
        events = [json.loads(line) for line in lines]
        assert {event["event"] for event in events} == {"started", "signal", "reaped", "draining", "ended"}, lines
        messages = [event["message"] for event in events]
    told = [message for message in messages if "\\x0apyinit: x\\x1b[2J" in message]
    # The start, two signals, the orphan, the straggler twice, the end.
    assert len(told) == len(lines) == 7, lines


@pytest.mark.parametrize("words", [["queue", "-1"], ["queue", "-60"], ["own", "1"]], ids=" ".join)
def test_a_sender_that_may_be_forged_is_marked(run: Run, attacker: str, words: list[str]) -> None:
    """With sigqueue(3) the sender chooses the pid; with F_SETSIG (fcntl(2)) it makes the kernel send the signal."""
    script = 'trap "exit 7" TERM; "$@"; while :; do sleep 0.05; done'
    ended = run("-v", "--", "sh", "-c", script, "sh", attacker, *words, before=WITHOUT_CAPABILITIES)
    assert ended.status == 7, ended
    claims = re.findall(r"SIGTERM from (?:outside the container|the kernel)(.*?)[,;]", ended.err)
    assert claims and all(claim == " (as the sender says)" for claim in claims), ended


# The image.


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """Launchers for a package that has other modules beside it, as in site-packages."""
    copy_package(tmp_path / "lib/pyinit", None)
    (tmp_path / "bin").mkdir()
    command: list[str | Path] = [INTERPRETER, "-m", "pyinit.ctl", "install", tmp_path / "bin"]
    subprocess.run(command, cwd=tmp_path / "lib", check=True, capture_output=True)
    for name in ("argparse", "json", "re", "os", "resource", "ctypes", "fcntl", "termios", "grp", "enum"):
        (tmp_path / f"lib/{name}.py").write_text("import sys; sys.stderr.write('hostile\\n'); sys.exit(99)\n")
    return tmp_path / "bin"


@pytest.mark.parametrize(
    "words", [["pyinit", "--session", "-p", "TERM", "-u", "0", "--", "true"], ["pyinitctl", "tree"]]
)
def test_modules_beside_the_package_are_not_imported(crowded: Path, words: list[str]) -> None:
    """Nor modules in the working directory, or in a folder that a variable names."""
    hostile = clean_environment(PYTHONPATH=str(crowded.parent / "lib"), HOME=str(crowded.parent / "lib"))
    command: list[str | Path] = [*UNSHARE, crowded / words[0], *words[1:]]
    done = subprocess.run(
        command, cwd=crowded.parent / "lib", env=hostile, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, ""), done


@pytest.mark.skipif(int(signal.SIGRTMIN) != 34, reason="the loader of musl has other words")
def test_the_dynamic_loader_obeys_its_variables_as_for_every_program(run: Run) -> None:
    """It complains about a library that it cannot load: for PID 1, and for the program that unsets the variable."""
    ended = run("--", "env", "-u", "LD_PRELOAD", "true", before=["env", "LD_PRELOAD=/no/such/library.so"])
    assert ended.status == 0
    assert ended.err.count("'/no/such/library.so' from LD_PRELOAD cannot be preloaded") == 2, ended


# Rights.


def test_no_capability_is_needed(start: Start) -> None:
    """It starts, forwards, reaps, ends stragglers, and reports, without any."""
    program = """
    import _signal
    print([line for line in open("/proc/1/status") if line[:7] in ("CapPrm:", "CapEff:")], flush=True)
    posix.close(leak(50))
    are_gone = all_gone(60)
    if posix.fork():
        print(are_gone, flush=True)
    _signal.pause()
    """
    options = ["--exit-report=always", "--drain-timeout=60"]
    container = start(*options, "--", *python(ORPHANS + program), before=WITHOUT_CAPABILITIES)
    container.expect(str([f"Cap{kind}:\t{'0' * 16}\n" for kind in ("Prm", "Eff")]))
    container.expect("True")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert ended.status == 143
    assert re.search(r"SIGTERM from outside the container.*1 straggler ended.*51 orphans reaped\n$", ended.err), ended


def test_a_user_namespace_is_enough(launcher: str) -> None:
    """Rootless: root is an ordinary user outside, and everything works."""
    program = "    posix.close(leak(50)); sys.exit(7 if all_gone(60) else 1)"
    command = [*UNSHARE, "--user", "--map-root-user", launcher, "--", *python(ORPHANS + program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (7, ""), done
