"""Like the peers: the peers, and pyinit by their names, run the same lines, and the results are compared.

The lines are documented examples from the peers' README files and help texts, and wrong uses. Every peer runs under
POSIXLY_CORRECT. `DIFFERENCES` lists the intended differences, with both outcomes and the reason.
"""

import json
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from testing import packages
from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, clean_environment, python
from testing.waiting import PATIENCE

Outcome = dict[str, object]

LOOK = """if True:
    import json, os, signal, sys
    def stat(pid):
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    def pending(pid):
        line = next(line for line in open(f"/proc/{pid}/status") if line.startswith("ShdPnd"))
        return [number for number in range(1, 63) if int(line.split()[1], 16) >> number - 1 & 1]
    def tell(**facts):
        print(json.dumps(facts), flush=True)
    def has(path):
        try:
            return not os.close(os.open(path, os.O_RDWR | os.O_NOCTTY))
        except OSError:
            return False
    init = os.getppid()
"""
"""The beginning of each program below."""

OBSERVE = """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    while not child:
        signal.pause()
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    if "every" in sys.argv:
        faults = {4, 5, 6, 7, 8, 11, 31}
        numbers += signal.valid_signals() - {9, 17, 19, 20, 21, 22, 63, 64} - faults
    for number in [*numbers, 63, 64]:
        os.kill(init, number)
    signal.sigwait([64])  # the highest number: it is delivered after all others
    tell(
        argv=sys.argv[1:],
        leads=["group"] * (os.getpgrp() == os.getpid()) + ["session"] * (os.getsid(0) == os.getpid()),
        shares=["group"] * (os.getpgrp() == os.getpgid(init)) + ["session"] * (os.getsid(0) == os.getsid(init)),
        terminal=has("/dev/tty") and ("foreground" if os.tcgetpgrp(0) == os.getpgrp() else "background"),
        workload=pending(os.getpid()),
        child=pending(child),
    )
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    sys.exit(7)
"""
"""Send these signals to the init; print what the workload and its child got, and the workload's group and terminal."""

STOP = """
    signal.pthread_sigmask(signal.SIG_BLOCK, [61, 62])
    workload = os.getpid()
    ask, asked = os.pipe()
    answer, answered = os.pipe()
    if os.fork():
        os.close(asked)
        while os.read(ask, 1):
            os.write(answered, b"x")
        sys.exit(os.wait()[1])
    os.setsid()  # signals to the group do not reach it
    os.set_blocking(answer, False)
    def is_stopped(pid):
        return stat(pid)[0] == "T"
    def has_answered():
        try:
            return os.read(answer, 1)
        except BlockingIOError:
            return False
    def send(number, mark):
        os.kill(init, number)
        os.kill(init, mark)
        while not (is_stopped(init) or mark in pending(workload)):
            pass
    send(int(sys.argv[1]), 61)
    os.write(asked, b"x")
    while not (stopped := is_stopped(workload)) and not has_answered():
        pass
    open(f"/proc/{workload}/syscall").read()  # returns when it is off its processor: the init has its SIGCHLD
    send(0, 62)
    tell(stopped=["workload"] * stopped + ["init"] * is_stopped(init))
    os.kill(init, signal.SIGCONT)
    while stopped and not has_answered():
        pass
"""
"""Send a signal to the init; print which processes are stopped, and have them continued."""

LEAVE = """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    reader, writer = os.pipe()
    for daemon in (False, True):
        if not os.fork():
            if daemon:
                os.setsid()
            os.close(writer)
            while True:
                signal.pause()
    os.close(writer)
    os.read(reader, 1)
    sys.exit(3)
"""
"""End while a member of the group and a daemon in a session of its own, which block all signals, go on."""

ORPHAN = """
    reader, writer = os.pipe()
    if not os.fork():
        if not os.fork():
            while os.getppid() != init and os.getppid() != 1:
                pass
            os.write(writer, json.dumps([os.getpid(), os.getppid()]).encode())
            os._exit(0)
        os._exit(0)
    os.wait()
    orphan, parent = json.loads(os.read(reader, 100))
    while os.path.exists(f"/proc/{orphan}"):
        pass
    tell(orphan=orphan, adopted=parent == init)
"""
"""Leave an orphan; print whose child it became when it has been reaped."""

BEREAVE = """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.kill(int(stat(init)[1]), signal.SIGKILL)
    tell(heard=signal.sigwait([signal.SIGTERM]))
"""
"""Kill the parent of the init; print the signal that follows."""

PROBES = {"observe": OBSERVE, "stop": STOP, "leave": LEAVE, "orphan": ORPHAN, "bereave": BEREAVE}

BESIDE = """
    process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
    while (end := os.wait())[0] != process:
        pass
    left = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if pid != 1 and (words := stat(pid))[0] != "Z":
            left.append(["daemon" if int(words[3]) == pid else "member", *pending(pid)])
    tell(init=os.waitstatus_to_exitcode(end[1]), left=sorted(left))
"""
"""PID 1 of a namespace in which the init is another process; print its status, and the processes and signals left."""

ORPHANED = """
    import subprocess
    subprocess.call(["sh", "-c", '"$@"; exit $?', "sh", *sys.argv[1:]])
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
"""
"""PID 1 of a namespace in which the init is its grandchild, and may lose its parent."""

ATTENDED = """
    zombie = os.fork() or os._exit(0)
    if os.fork():
        os.execvp(sys.argv[1], sys.argv[1:])
    while os.path.exists(f"/proc/{zombie}"):
        os.kill(1, signal.SIGCHLD)  # the first one may have come too early for catatonit
    os.kill(1, signal.SIGUSR1)
    os.kill(1, int(os.environ["SIGNAL"]))
"""
"""Execute a command that has a zombie. When that has been reaped, send it SIGUSR1 and the signal in `SIGNAL`."""

TERMINAL = """
    master, slave = os.openpty()
    os.set_inheritable(master, True)
    os.dup2(slave, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Run a command with a new terminal as standard input."""

ON_TERMINAL = [*python(LOOK + TERMINAL), *UNSHARE, "setsid", "--ctty"]

JOB = """
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    os.tcsetpgrp(0, os.getpid())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTTOU])
    os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Run a command as a shell's foreground job."""

SETTINGS = {
    "beside": [*IN_TIME, *UNSHARE, *python(LOOK + BESIDE)],
    "job": [*ON_TERMINAL, *python(LOOK + BESIDE), *python(LOOK + JOB)],
    "orphaned": [*UNSHARE, *python(LOOK + ORPHANED)],
    "attended": [*UNSHARE, *python(LOOK + ATTENDED)],
    "terminal": ON_TERMINAL,
    "gnu": UNSHARE,
}
"""The first word of a line may say where it is run; otherwise the init is PID 1. ``gnu``: without POSIXLY_CORRECT."""

LOG_LINE = re.compile(r"^\[(?:INFO|DEBUG|TRACE) +tini .*\n", re.MULTILINE)
"""A line of tini's log, on standard output."""


@cache
def outcome(init: str, line: str) -> Outcome:
    """Run the init with a line like ``NAME=value -o -- observe 15``; return the status and the observations."""
    words = shlex.split(line)
    setting = words.pop(0) if words and words[0] in SETTINGS else ""
    variables = {} if setting == "gnu" else {"POSIXLY_CORRECT": "1"}
    while words and re.match("[A-Z_]+=", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    command = [*SETTINGS.get(setting, UNSHARE), init]
    for word in words:
        command += python(LOOK + PROBES[word]) if word in PROBES else [init if word == "INIT" else word]
    # In a session of their own: the effect of a stop signal depends on the other members.
    done = subprocess.run(
        command,
        env=clean_environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,
    )
    seen: Outcome = {"status": done.returncode, "logs": bool(done.stderr or LOG_LINE.search(done.stdout))}
    for printed in LOG_LINE.sub("", done.stdout).splitlines():
        seen.update(json.loads(printed) if printed.startswith("{") else {"printed": printed})
    if orphan := seen.pop("orphan", None):
        seen["names orphan"] = bool(re.search(rf"\bpid[ =]{orphan}\b", done.stderr))
    return seen


NAMES = {"pyinit": "tini", "tini": "tini", "docker-init": "tini", "dumb-init": "dumb-init", "catatonit": "catatonit"}
"""The names that pyinit is invoked by, and the peer that it is compared with."""


def lines(text: str) -> list[str]:
    """The lines of a table, with a | or a line's end between them."""
    return [line for part in re.split(r"[|\n]", text) if (line := part.strip())]


MISUSES = ["", *lines("-- | -Z true | --no-such-option true")]
FAILURES = lines("no-such-program | ./none | /none | /etc/passwd | /etc | -")
"""Wrong uses, and PROGRAMs that do not exist or cannot be executed: the same lines for each peer."""

TINI_MISUSES = lines("-e | -p | -e x true | -e 256 true | -p SIGNONE true")

TINI = """
    -- observe -and -its 15 arguments 2 10 | observe every | -- observe 20 | -- stop 20
    -g -- observe every | TINI_KILL_PROCESS_GROUP= -- observe 1 15
    terminal -- observe 15 | terminal -g -- observe 15 | terminal -- stop 20
    -s -- observe 15 | beside -s -- orphan | beside TINI_SUBREAPER= -- orphan | beside -s -- leave | beside -sg -- leave
    orphaned -s -p SIGTERM -- bereave
    -w -- orphan | -- orphan
    -v -- observe | -vv -- observe | -vvv -- observe | TINI_VERBOSITY=3 -- observe | TINI_VERBOSITY=0 -- observe
    true | echo -- -v | -- -- true | -- cat /proc/self/environ | TINI_SUBREAPER=1 -- sh -c 'echo $TINI_SUBREAPER'
    -gsvw echo x | -pSIGUSR1 echo x | -vp SIGHUP echo x | -e3 sh -c 'exit 3' | -e 0 -- sh -c 'exit 255'
    -e 7 -- observe | -e 143 -- observe | -e 143 -e 3 -- sh -c 'exit 3' | -e 3 -- sh -c 'exit 4'
"""
DUMB_INIT = """
    -r | --rewrite | -r 15 true | -r a:b true | -r 99:1 true | --rewrite=15:99 true | --single-child=1 true
    -- observe --with --args 15 2 10 | sh -c 'true && exec "$@"' sh observe 15 | gnu echo -v -- a
    observe 4 5 6 7 8 11 31
    observe 1 3 12 13 14 16 18 23 24 25 26 27 28 29 30 34 62 | DUMB_INIT_SETSID=1 observe 15
    terminal observe 15 | job stop 20 | job -c stop 20 | job -r 20:0 stop 20
    DUMB_INIT_SETSID=0 INIT echo 'oh, hi'
    -r 15:3 observe 15 2 | --rewrite 15:3 -- observe 15 2 | --rewrite=2:15 -- observe 15 2
    -r 15:3 -r 2:0 --rewrite 10:12 observe 15 2 10 | -r 15:3 -r 15:2 observe 15 | -r 15:19 stop 15
    stop 20 | beside stop 20 | stop 21 | stop 22 | terminal stop 20 | -r 20:20 stop 20 | -r 20:15 observe 20
    beside stop 21 | beside stop 22 | beside -r 20:0 stop 20 | beside -r 20:20 stop 20 | beside -r 15:20 stop 15
    beside leave | beside -c leave | beside -r 15:3 leave | beside -r 15:0 leave | orphan
    TINI_VERBOSITY=3 true | TINI_VERBOSITY=x true
    -v observe | --verbose observe | DUMB_INIT_DEBUG=1 observe | DUMB_INIT_DEBUG=0 observe
"""
CATATONIT = """
    -- observe --with --args 15 2 10 | observe every | -g observe every | terminal observe 15
    TINI_KILL_PROCESS_GROUP= observe 15 | TINI_VERBOSITY=x true | DUMB_INIT_SETSID=x true
    beside leave | beside -g leave | beside orphan | orphan | attended SIGNAL=15 -P | attended SIGNAL=2 -P
"""
LINES = {
    "tini": MISUSES + TINI_MISUSES + FAILURES + lines(TINI),
    "dumb-init": MISUSES + FAILURES + lines(DUMB_INIT),
    "catatonit": MISUSES + FAILURES + lines(CATATONIT),
}
"""The documented lines of each peer, in our own words and with our workloads."""

Changes = dict[str, tuple[object, object]]

TINIS = "pyinit tini docker-init"
TAKEN: Changes = {"status": (1, 0), "logs": (True, False)}
REFUSED: Changes = {"status": (0, 1), "logs": (False, True)}
FAULTS = [4, 5, 6, 7, 8, 11, 31]
NO_SESSION: Changes = {"leads": (["group", "session"], ["group"]), "shares": ([], ["session"])}
OWN_GROUP: Changes = {"leads": ([], ["group"]), "shares": (["group", "session"], ["session"])}

DIFFERENCES: dict[str, list[tuple[str, list[str], Changes]]] = {
    "by its own name its failures have the status that env, timeout and docker run give theirs": [
        ("pyinit", [*MISUSES, *TINI_MISUSES, "--verb true"], {"status": (1, 125)}),
    ],
    "by its own name it drains: TERM to all who are left, time, then KILL": [
        (
            "pyinit",
            lines("beside -s -- leave | beside -sg -- leave"),
            {"logs": (False, True), "left": ([["daemon"], ["member"]], [])},
        ),
    ],
    "it says why it ended if that was not asked for": [
        (" ".join(NAMES), ["-- sh -c 'kill -TERM $$'"], {"logs": (False, True)}),
        (TINIS, ["-e 143 -- sh -c 'kill -TERM $$'", "-ge143 sh -c 'kill -TERM $$'"], {"logs": (False, True)}),
    ],
    "options end at the first word that is not an option; GNU getopt also takes them after PROGRAM": [
        (TINIS, ["gnu echo -w -- a"], {"printed": ("a", "-w -- a")}),
        ("catatonit", ["gnu echo -g -- a"], {"printed": ("a", "-g -- a")}),
    ],
    "GNU abbreviations are refused, with a hint": [
        ("dumb-init", ["--verb true"], {"status": (0, 1)}),
        ("dumb-init", lines("--rew 15:3 true | --sing true"), REFUSED),
    ],
    "the whole line is read before anything is shown": [
        ("dumb-init", ["-VZ true"], {"status": (0, 1)}),
    ],
    "a pause with a program is a mistake": [
        ("catatonit", ["attended SIGNAL=15 -P true"], REFUSED),
    ],
    "each option of its own is there by every name": [
        ("tini docker-init dumb-init catatonit", lines("-t 5 true | --stop-timeout=5 true"), TAKEN),
    ],
    "signals have names, with SIG or without, and numbers up to 64": [
        (TINIS, lines("-p 15 true | -p TERM true"), TAKEN),
        ("dumb-init", lines("-r TERM:SIGQUIT true | -r 15:64 true"), TAKEN),
    ],
    "a malformed value is an error, never ignored nor read in part; SIGKILL cannot be received": [
        ("tini docker-init", lines("TINI_VERBOSITY=x true | -e '' true | -e +3 true"), REFUSED),
        ("dumb-init", lines("-r 15:3x true | DUMB_INIT_DEBUG=2 true | -r 9:3 true"), REFUSED),
    ],
    "every signal arrives: a fault or a SIGCHLD that was sent, what tini ignores and what catatonit drops": [
        (f"{TINIS} catatonit", [f"-- observe {' '.join(map(str, FAULTS))}"], {"workload": ([], FAULTS)}),
        (TINIS, ["-- observe 17 21 22"], {"workload": ([], [17, 21, 22])}),
        ("catatonit", ["-- observe 17 21 22"], {"workload": ([], [17, 21, 22])}),
        ("catatonit", ["-- stop 20"], {"stopped": ([], ["workload"])}),
        ("dumb-init", ["-r 17:15 observe 17"], {"workload": ([], [15]), "child": ([], [15])}),
    ],
    "DUMB_INIT_SETSID may also be a word such as no; dumb-init compares it with 0": [
        ("dumb-init", ["DUMB_INIT_SETSID=no observe 15"], {**NO_SESSION, "child": ([15], [])}),
    ],
    "by its own name it knows the variables of all peers": [
        ("pyinit", ["DUMB_INIT_DEBUG=1 true"], {"logs": (False, True)}),
    ],
    "LISTEN_PID that names the init is made to name the workload": [
        (TINIS, ["LISTEN_PID=1 -- sh -c 'echo $LISTEN_PID'"], {"printed": ("1", "2")}),
        ("dumb-init", ["LISTEN_PID=1 sh -c 'echo $LISTEN_PID'"], {"printed": ("1", "2")}),
    ],
    "when it is not PID 1 it is a subreaper without being asked": [
        (TINIS, ["beside -- orphan"], {"adopted": (False, True), "logs": (True, False)}),
        ("dumb-init", ["beside -- orphan"], {"adopted": (False, True)}),
    ],
    "without a session the workload has a group of its own: Ctrl-C comes once, not from the terminal and from us": [
        (
            "dumb-init",
            lines("-c observe 15 2 6 11 | --single-child observe | DUMB_INIT_SETSID=0 observe 15"),
            OWN_GROUP,
        ),
        ("dumb-init", ["terminal -c observe 15"], OWN_GROUP),
    ],
    "and that group is not orphaned, since pyinit is the parent of its leader: SIGTSTP works in it": [
        ("dumb-init", lines("-c stop 20 | terminal -c stop 20"), {"stopped": ([], ["workload"])}),
        ("dumb-init", ["beside -c stop 20"], {"stopped": (["init"], ["workload", "init"])}),
    ],
    "it stops along with the workload and not alone": [
        (TINIS, ["job -s -- stop 20"], {"stopped": (["workload"], ["workload", "init"])}),
    ],
    "as the job of a shell the workload stays in its session, for there it can stop itself": [
        ("dumb-init", ["job observe 15"], {**NO_SESSION, "terminal": (False, "background")}),
        ("dumb-init", ["job -r 20:20 stop 20"], {"stopped": (["init"], ["workload", "init"])}),
    ],
    "below a shell, with its output in a pipe (as here), the terminal is left to the reader of the pipe": [
        (TINIS, ["job -s -- observe"], {"terminal": ("foreground", "background")}),
        ("catatonit", ["job observe"], {"terminal": ("foreground", "background")}),
        ("dumb-init", ["job -c observe"], {**OWN_GROUP, "terminal": ("foreground", "background")}),
    ],
}
"""For each reason the names and lines that it is about, and for each fact that differs the peer's outcome and ours."""

DIFFERENT = [
    (name, line, changes, reason)
    for reason, rows in DIFFERENCES.items()
    for names, those, changes in rows
    for name in names.split()
    for line in those
]
SAME = [(name, line) for name, peer in NAMES.items() for line in LINES[peer]]
SAME = [pair for pair in SAME if pair not in {(name, line) for name, line, _, _ in DIFFERENT}]


@pytest.fixture(scope="session")
def inits(launcher: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """pyinit by each name."""
    folder = tmp_path_factory.mktemp("names")
    for name in NAMES:
        (folder / name).symlink_to(launcher)
    return {name: str(folder / name) for name in NAMES}


def peer_of(name: str) -> str:
    """The peer that is compared with pyinit by this name, from Debian's packages."""
    return packages.provide(NAMES[name], NAMES[name])


@pytest.mark.parametrize(("name", "line"), SAME, ids=map(" ".join, SAME))
def test_the_outcome_is_the_peers(inits: dict[str, str], name: str, line: str) -> None:
    """The same status, the same signals to the same processes, in the same groups."""
    assert outcome(inits[name], line) == outcome(peer_of(name), line)


@pytest.mark.parametrize(
    ("name", "line", "changes", "reason"), DIFFERENT, ids=[f"{name} {line}" for name, line, _, _ in DIFFERENT]
)
def test_a_difference_is_the_intended_one(
    inits: dict[str, str], name: str, line: str, changes: Changes, reason: str
) -> None:
    """Both outcomes are those of the table, and nothing else differs."""
    theirs, ours = outcome(peer_of(name), line), outcome(inits[name], line)
    seen = {key: (theirs.get(key), ours.get(key)) for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)}
    assert seen == changes, reason


@pytest.mark.parametrize("name", ["tini-static", "dumb-init"])
def test_a_copy_is_as_good_as_a_link(launcher: str, tmp_path: Path, name: str) -> None:
    """Only the name counts."""
    peer = peer_of(name.removesuffix("-static"))
    copy = shutil.copy(launcher, tmp_path / name)
    for line in ("-- observe 15", "no-such-program", "-Z"):
        assert outcome(str(copy), line) == outcome(peer, line)


def test_it_can_be_the_interpreter_of_a_script(inits: dict[str, str], tmp_path: Path) -> None:
    """``#!/usr/bin/dumb-init /bin/sh``, with a process in the background that gets the signals, too."""
    seen = []
    for number, init in enumerate([peer_of("dumb-init"), inits["dumb-init"]]):
        script = tmp_path / f"script{number}"
        script.write_text(f"#!{init} {INTERPRETER}\n{LOOK}{OBSERVE}")
        script.chmod(0o755)
        seen.append(outcome(str(script), "15"))
    assert seen[0] == seen[1]
    assert seen[0]["child"] == [15]


@pytest.mark.parametrize("name", ["dumb-init", "pyinit"])
@pytest.mark.parametrize(("word", "meant"), [("--verb", "--verbose"), ("--rew=15:3", "--rewrite")])
def test_an_abbreviation_is_refused_with_a_hint(inits: dict[str, str], name: str, word: str, meant: str) -> None:
    """The line says what was probably meant."""
    done = subprocess.run([inits[name], word, "true"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == {"dumb-init": 1, "pyinit": 125}[name]
    assert done.stderr.count("\n") == 1
    assert f"did you mean {meant}?" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_its_log_lines_are_the_same_by_each_name(inits: dict[str, str], name: str) -> None:
    """A peer's name changes the options and the exit statuses, not the messages."""
    done = subprocess.run([inits[name], "/no-such-program"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stderr == "pyinit: cannot find '/no-such-program'\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_usage_error_refers_to_the_help_of_the_name(inits: dict[str, str], name: str) -> None:
    """The options differ from name to name."""
    done = subprocess.run([inits[name], "--nope", "true"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stderr == f"pyinit: unknown option --nope; see {name.replace('docker-init', 'tini')} --help\n"


SHOWN = {"tini": lines("-h | -l | --version"), "dumb-init": lines("-h | --help | -V | --version")}
SHOWN["catatonit"] = lines("-h | -L | -V | --version")


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, peer in NAMES.items() for word in SHOWN[peer]])
def test_help_license_and_version_are_shown_as_by_the_peer(inits: dict[str, str], name: str, word: str) -> None:
    """On standard output, though some peers use standard error. The version has the peer's form, and names pyinit."""
    theirs, ours = (
        subprocess.run([init, word], capture_output=True, text=True, timeout=PATIENCE)
        for init in (peer_of(name), inits[name])
    )
    assert theirs.returncode == ours.returncode == 0
    assert ours.stdout and not ours.stderr
    if word in ("-V", "--version"):
        form = (theirs.stdout or theirs.stderr).strip() if name != "pyinit" else "pyinit version 0"
        assert re.sub(r"\d[\d.]*", "N", ours.stdout).startswith(re.sub(r"\d[\d.]*", "N", form))
        assert "pyinit" in ours.stdout
