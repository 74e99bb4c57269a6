"""`docker run -it IMAGE bash`, with a person at the other end of the attached terminal."""

import os
import re
from collections.abc import Iterator
from socket import SocketIO
from typing import cast

import pexpect
import pytest
from docker.models.containers import Container
from pexpect.fdpexpect import fdspawn

from .support import Containers, await_condition, processes

PROMPT = r"at-prompt\$ "


class Terminal:
    """A container's terminal: what is typed, and what can be read there."""

    def __init__(self, container: Container) -> None:
        self.container = container
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self._connection = cast(SocketIO, container.attach_socket(params=streams))
        self._expecter: fdspawn[str] = fdspawn(self._connection.fileno(), timeout=20, encoding="utf-8")

    def type(self, text: str) -> None:
        """Press keys; ^ and a capital stand for that key with control."""
        keys = re.sub(r"\^([A-Z])", lambda key: chr(ord(key[1]) - 64), text)
        os.write(self._connection.fileno(), keys.encode())

    def read_until(self, pattern: str) -> str:
        """What is read up to the pattern and with it; fails with what was read instead."""
        try:
            self._expecter.expect(pattern)
        except (pexpect.TIMEOUT, pexpect.EOF):
            pytest.fail(f"no {pattern!r} in what was read: {self._expecter.before!r}")
        return f"{self._expecter.before}{self._expecter.after}"

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()


@pytest.fixture
def terminal(containers: Containers) -> Iterator[Terminal]:
    """The terminal of a container that runs an interactive shell, from its first character on."""
    container = containers.create(
        *("bash", "--norc", "--noprofile", "-i"),
        tty=True,
        stdin_open=True,
        environment={"PS1": "at-prompt$ ", "TERM": "dumb"},
    )
    terminal = Terminal(container)
    container.start()
    yield terminal
    terminal.close()


def test_shell_starts_without_a_warning(terminal: Terminal) -> None:
    """The shell is in the foreground: no "cannot set terminal process group", no "no job control"."""
    assert re.fullmatch(PROMPT, terminal.read_until(PROMPT))


def test_control_c_interrupts_what_runs(terminal: Terminal) -> None:
    """The program in the foreground, not the shell."""
    terminal.read_until(PROMPT)
    terminal.type("sleep 100\n")
    terminal.read_until("sleep 100\r\n")
    await_condition(lambda: processes(terminal.container), lambda seen: seen[-1].command == "sleep 100")
    terminal.type("^C")
    terminal.read_until(PROMPT)
    terminal.type("echo status=$?\n")
    terminal.read_until("\nstatus=130\r\n")


def test_control_z_stops_and_fg_goes_on(terminal: Terminal) -> None:
    """Job control works inside."""
    terminal.read_until(PROMPT)
    terminal.type("cat\n")
    terminal.read_until("cat\r\n")
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
    assert terminal.container.wait(timeout=20)["StatusCode"] == 3
