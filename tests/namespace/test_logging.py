"""Log lines never block, and their failures affect nothing else."""

import json
import os
import socket
import subprocess

import pytest

from testing.namespaces import IN_TIME, Ended, clean_environment, python

from .conftest import Run, Start
from .test_reaping import ORPHANS

PING = """if True:
    import _signal, posix, sys
    number = int(_signal.SIGRTMIN)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [number])
    for _ in range(int(sys.argv[1])):
        posix.kill(1, number)
        _signal.sigwait([number])
    posix._exit(4)
"""
"""Send PID 1 a signal and wait for it to come back, as often as the argument says. Each is a log line at -v."""


def ping_with_stderr(start: Start, stderr: int, times: int, *words: str) -> Ended:
    """Have PID 1 log `times` events to a descriptor."""
    return start("-vvv", *words, "--", *python(PING, str(times)), stderr=stderr, before=IN_TIME).end(patience=240)


@pytest.mark.slow
def test_a_pipe_that_nobody_reads_does_not_stop_pid_1(start: Start) -> None:
    """3,000 events at -vvv into a pipe that is full after some hundreds."""
    reader, writer = os.pipe()
    assert ping_with_stderr(start, writer, 3_000).status == 4
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        lines = pipe.read().splitlines()
    assert lines[0].startswith(b"pyinit: started ")
    assert all(line.startswith(b"pyinit: ") for line in lines)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_nobody_reads_does_not_stop_pid_1(start: Start, kind: socket.SocketKind) -> None:
    """As from journald and inetd. A socket cannot be opened anew."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    assert ping_with_stderr(start, theirs.fileno(), 3_000).status == 4
    assert ours.recv(4096).startswith(b"pyinit: started ")


def test_a_terminal_that_nobody_reads_does_not_stop_pid_1(start: Start) -> None:
    """It may be stopped with Ctrl-S, or its other end may hang."""
    ours, theirs = os.openpty()
    assert ping_with_stderr(start, theirs, 3_000).status == 4
    assert os.read(ours, 100).startswith(b"pyinit: started ")


def test_a_pipe_whose_reader_has_exited_does_not_end_pid_1(start: Start) -> None:
    """Each line raises SIGPIPE in pyinit, which is not forwarded."""
    reader, writer = os.pipe()
    os.close(reader)
    assert ping_with_stderr(start, writer, 500).status == 4


def test_a_file_that_may_not_grow_does_not_end_pid_1(start: Start, tmp_path: object) -> None:
    """With RLIMIT_FSIZE each line raises SIGXFSZ, which is not forwarded."""
    with open(f"{tmp_path}/log", "wb") as log:
        container = start("-vvv", "--", *python(PING, "500"), stderr=log, before=["prlimit", "--fsize=1000"])
        assert container.end().status == 4
    assert os.path.getsize(f"{tmp_path}/log") == 1000


def test_a_terminal_that_hung_up_does_not_end_pid_1(start: Start) -> None:
    """EIO on each line."""
    ours, theirs = os.openpty()
    program = "import sys; sys.stdin.readline()\n" + PING
    container = start("-vvv", "--", *python(program, "500"), stderr=theirs, stdin=subprocess.PIPE)
    os.close(theirs)
    os.close(ours)
    container.say()
    assert container.end().status == 4


def test_quiet_is_quiet(start: Start) -> None:
    """At the default verbosity an ordinary run writes nothing. With -q even the lines of -w are left out."""
    program = "    posix.close(leak(3)); sys.exit(3 if all_gone(20) else 1)"
    for words in ([], ["-q", "-w"]):
        ended = start(*words, "--", *python(ORPHANS + program)).end()
        assert (ended.status, ended.err) == (3, "")


def test_a_misspelt_variable_is_a_warning(run: Run) -> None:
    """Once, with the name that was probably meant: the API reads the options as well, but leaves it to PID 1."""
    variables = {"PYINIT_STOP_TIMOUT": "5", "TINI_VERSION": "v0.19.0"}
    ended = run("--", "echo", "started", env=clean_environment(**variables))
    warning = "unknown environment variable PYINIT_STOP_TIMOUT; did you mean PYINIT_STOP_TIMEOUT?"
    assert (ended.status, ended.out, ended.err) == (0, "started\n", f"pyinit: {warning}\n")
    quiet = run("-q", "--", "true", env=clean_environment(**variables))
    assert (quiet.status, quiet.err) == (0, "")
    line = json.loads(run("--log-format=json", "--", "true", env=clean_environment(**variables)).err)
    seen = [line[name] for name in ("level", "event", "message", "variable")]
    assert seen == ["warning", "variable", warning, "PYINIT_STOP_TIMOUT"]


def test_verbose_says_which_variable_a_flag_overrides(run: Run) -> None:
    """With -vv; the line names both."""
    environment = clean_environment(PYINIT_STOP_TIMEOUT="9")
    message = "pyinit: environment variable PYINIT_STOP_TIMEOUT has no effect: --stop-timeout overrides it\n"
    assert message in run("-vv", "--stop-timeout=3", "--", "true", env=environment).err
    assert message not in run("-v", "--stop-timeout=3", "--", "true", env=environment).err
    assert message not in run("-vv", "--", "true", env=environment).err
