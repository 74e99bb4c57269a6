"""`docker run -it IMAGE bash`, as used by a person at the attached terminal."""

import os
import re
from collections.abc import Callable, Iterator
from socket import SocketIO
from typing import Any, cast

import pexpect
import pytest
from docker.models.containers import Container
from pexpect.fdpexpect import fdspawn

from testing.containers import Containers, processes
from testing.waiting import PATIENCE, eventually

PROMPT = r"at-prompt\$ "


class Terminal:
    """A container's terminal, to type on and to read from."""

    def __init__(self, container: Container) -> None:
        self.container = container
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self._connection = cast(SocketIO, container.attach_socket(params=streams))
        self._expecter: fdspawn[str] = fdspawn(self._connection.fileno(), timeout=PATIENCE, encoding="utf-8")

    def type(self, text: str) -> None:
        """Press keys; ^ and a capital letter mean that key with Control."""
        keys = re.sub(r"\^([A-Z])", lambda key: chr(ord(key[1]) - 64), text)
        os.write(self._connection.fileno(), keys.encode())

    def read_until(self, pattern: str) -> str:
        """The output up to and with the pattern; fails with the output if that has no match."""
        try:
            self._expecter.expect(pattern)
        except (pexpect.TIMEOUT, pexpect.EOF):
            pytest.fail(f"no {pattern!r} in the output: {self._expecter.before!r}")
        return f"{self._expecter.before}{self._expecter.after}"

    def close(self) -> None:
        """Detach."""
        self._connection.close()


Open = Callable[..., Terminal]


@pytest.fixture
def open_terminal(containers: Containers) -> Iterator[Open]:
    """Run a container with a terminal, attached before the first character is written."""
    terminals = []

    def open_terminal(*command: str, **options: Any) -> Terminal:
        variables = {"PS1": "at-prompt$ ", "TERM": "dumb"}
        container = containers.create(*command, tty=True, stdin_open=True, environment=variables, **options)
        terminals.append(Terminal(container))
        container.start()
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def terminal(open_terminal: Open) -> Terminal:
    """The terminal of a container that runs an interactive shell."""
    return open_terminal("bash", "--norc", "--noprofile", "-i")


def test_shell_starts_without_a_warning(terminal: Terminal) -> None:
    """The shell is in the foreground: no "cannot set terminal process group", no "no job control"."""
    assert re.fullmatch(PROMPT, terminal.read_until(PROMPT))


def test_control_c_interrupts_the_foreground_program(terminal: Terminal) -> None:
    """And not the shell."""
    terminal.read_until(PROMPT)
    terminal.type("sleep 100\n")
    terminal.read_until("sleep 100\r\n")
    eventually(lambda: processes(terminal.container), holds=lambda seen: seen[-1].command == "sleep 100")
    terminal.type("^C")
    terminal.read_until(PROMPT)
    terminal.type("echo status=$?\n")
    terminal.read_until("\nstatus=130\r\n")


def test_control_z_stops_and_fg_goes_on(terminal: Terminal) -> None:
    """Job control works inside."""
    terminal.read_until(PROMPT)
    terminal.type("cat\n")
    terminal.read_until("cat\r\n")
    # Before that the shell may still have the echo off.
    eventually(lambda: processes(terminal.container), holds=lambda seen: seen[-1].command == "cat")
    terminal.type("one\n")
    terminal.read_until("one\r\none\r\n")
    terminal.type("^Z")
    terminal.read_until("Stopped")
    terminal.read_until(PROMPT)
    terminal.type("fg\n")
    terminal.read_until("fg\r\n.*cat\r\n")
    terminal.type("two\n")
    terminal.read_until("two\r\ntwo\r\n")
    terminal.type("^D")
    terminal.read_until(PROMPT)


def test_status_of_the_shell_is_that_of_the_container(terminal: Terminal) -> None:
    """`exit 3`, typed."""
    terminal.read_until(PROMPT)
    terminal.type("exit 3\n")
    assert terminal.container.wait(timeout=PATIENCE)["StatusCode"] == 3


@pytest.mark.parametrize("session", [(), ("--session",)])
def test_new_window_size_is_signalled(open_terminal: Open, session: tuple[str, ...]) -> None:
    """`docker run -it` follows the window: SIGWINCH reaches the workload, and the size is right."""
    program = """if True:
        import os, signal
        signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"size %d %d\\n" % os.get_terminal_size()))
        print("ready", flush=True)
        while True:
            signal.pause()
    """
    terminal = open_terminal("pyinit", *session, "--", "python3", "-c", program, entrypoint=[])
    terminal.read_until("ready")
    terminal.container.resize(height=33, width=111)
    terminal.read_until("size 111 33\r\n")


def test_session_has_the_terminal(open_terminal: Open) -> None:
    """The workload leads a session with that terminal, and a shell in it has job control."""
    shell = ["bash", "--norc", "--noprofile", "-i"]
    look = "print(os.getsid(0) == os.getpid() == os.tcgetpgrp(0))"
    program = f"import os; os.read(0, 1); {look}; os.execvp('bash', {shell})"
    terminal = open_terminal("pyinit", "-v", "--session", "--", "python3", "-uc", program, entrypoint=[])
    terminal.read_until("started .*\r\n")
    terminal.type("\n")  # not sooner: pyinit and the program write to the same terminal
    assert terminal.read_until(PROMPT).splitlines()[-2:-1] == ["True"]
    terminal.type("sleep 100\n")
    terminal.read_until("sleep 100\r\n")
    eventually(lambda: processes(terminal.container), holds=lambda seen: seen[-1].command == "sleep 100")
    terminal.type("^Z")
    terminal.read_until("Stopped")
    terminal.read_until(PROMPT)
    terminal.type("fg\n")
    terminal.read_until("fg\r\nsleep 100\r\n")
    eventually(lambda: processes(terminal.container), "it goes on", holds=lambda seen: seen[-1].state != "T")
    terminal.type("^C")
    terminal.read_until(PROMPT)
    terminal.type("exit 3\n")
    assert "SIGHUP" not in terminal.read_until("exited with 3")


@pytest.mark.parametrize("session", [(), ("--session",)])
def test_control_c_reaches_stragglers(open_terminal: Open, session: tuple[str, ...]) -> None:
    """The workload has ended and left a process that does not end: the terminal and its keys are pyinit's again.

    That process has been asked to end already, so only a second stop signal reaches it.
    """
    left = """if True:
        import os, signal
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: (os.write(1, b"interrupted\\n"), os._exit(0)))
        os.setpgid(0, 0)
        print("left", flush=True)
        while True:
            signal.pause()
    """
    workload = ["sh", "-c", 'python3 -c "$0" & read line; exit 3', left]
    terminal = open_terminal("pyinit", "-v", *session, "--drain-timeout=60", "--", *workload, entrypoint=[])
    terminal.read_until("left\r\n")
    terminal.type("\n")
    terminal.read_until("asking 1 remaining process ")
    terminal.type("^C")
    terminal.read_until("SIGINT ")
    terminal.type("^C")
    terminal.read_until("interrupted")
    assert terminal.container.wait(timeout=PATIENCE)["StatusCode"] == 3


def test_control_z_does_nothing_if_no_shell_could_continue_the_workload(open_terminal: Open) -> None:
    """As without an init."""
    terminal = open_terminal("cat")
    for line in ("one", "two"):
        terminal.type(f"{line}\n")
        terminal.read_until(f"{line}\r\n{line}\r\n")
        terminal.type("^Z")
    terminal.type("\n^D")
    assert terminal.container.wait(timeout=PATIENCE)["StatusCode"] == 0
