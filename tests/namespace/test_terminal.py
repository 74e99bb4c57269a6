"""The workload has the terminal: its own process group, in the foreground, and job control inside."""

import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pexpect
import pytest

from testing import terminals
from testing.namespaces import INTERPRETER, UNSHARE, clean_environment, python
from testing.waiting import PATIENCE, eventually

from .test_signals import LISTEN

PROMPT = "ready> "


Terminal = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def on_terminal(launcher: str) -> Iterator[Terminal]:
    """Start a workload under PID 1 on a terminal of its own."""
    children: list[pexpect.spawn[str]] = []

    def on_terminal(*workload: str, init: Sequence[str] = (launcher,)) -> "pexpect.spawn[str]":
        words = [*UNSHARE[1:], *init, "--", *workload]
        environment = dict(clean_environment(PS1=PROMPT, TERM="dumb"))
        wide = (24, 500)  # bash scrolls a longer line
        child = pexpect.spawn(UNSHARE[0], words, env=environment, encoding="utf-8", timeout=PATIENCE, dimensions=wide)
        children.append(child)
        return children[-1]

    yield on_terminal
    for child in children:
        terminals.end(child)


@pytest.fixture
def shell(on_terminal: Terminal) -> "pexpect.spawn[str]":
    """An interactive bash as the workload."""
    return on_terminal("bash", "--norc", "--noprofile", "-i")


def enter(shell: "pexpect.spawn[str]", line: str) -> str:
    """Type a line and return what came before the next prompt."""
    shell.sendline(line)
    shell.expect_exact(line)
    shell.expect_exact(PROMPT)
    return str(shell.before)


def start_cat(shell: "pexpect.spawn[str]") -> None:
    """Have cat(1) run in the foreground; return when it has answered. A key pressed before would go to the shell."""
    shell.sendline("cat")
    eventually(shell.getecho, "the terminal echoes")  # at its prompt, bash does that itself
    shell.sendline("it runs")
    shell.expect_exact("it runs\r\nit runs\r\n")


def test_no_warning_about_job_control(shell: "pexpect.spawn[str]") -> None:
    """bash complains ("cannot set terminal process group", "no job control") if it is not in the foreground."""
    shell.expect_exact(PROMPT)
    assert str(shell.before).strip() == ""


def test_the_workload_leads_the_foreground_group(on_terminal: Terminal) -> None:
    """The terminal's group is the workload's, and not that of PID 1."""
    child = on_terminal(*python("import os; print(os.getpid(), os.getpgrp(), os.tcgetpgrp(0), os.getsid(0))"))
    child.expect(pexpect.EOF)
    assert str(child.before).split() == ["2", "2", "2", "0"]


def test_ctrl_c_interrupts_the_job_and_not_the_shell(shell: "pexpect.spawn[str]") -> None:
    """SIGINT goes to the foreground job alone."""
    shell.expect_exact(PROMPT)
    start_cat(shell)
    shell.sendintr()
    shell.expect_exact(PROMPT)
    assert enter(shell, "echo $?").split() == ["130"]


def test_ctrl_z_and_fg_work(shell: "pexpect.spawn[str]") -> None:
    """A job stops, is listed, and goes on in the foreground."""
    shell.expect_exact(PROMPT)
    start_cat(shell)
    shell.sendcontrol("z")
    shell.expect_exact("Stopped")
    shell.expect_exact(PROMPT)
    shell.sendline("fg")
    shell.expect_exact("cat\r\n")
    shell.sendline("echoed")
    shell.expect_exact("echoed\r\nechoed\r\n")
    shell.sendeof()
    shell.expect_exact(PROMPT)


def test_the_end_of_the_shell_is_the_end(shell: "pexpect.spawn[str]") -> None:
    """Its status is the container's."""
    shell.expect_exact(PROMPT)
    shell.sendline("exit 9")
    shell.expect(pexpect.EOF)
    assert shell.wait() == 9


def test_a_new_window_size_is_signalled(on_terminal: Terminal) -> None:
    """SIGWINCH reaches the workload."""
    child = on_terminal(*python(LISTEN, "1"))
    child.expect_exact("ready")
    child.setwinsize(33, 111)
    child.expect_exact(str(int(signal.SIGWINCH)))


def test_a_terminal_that_is_not_standard_input_is_left_alone(on_terminal: Terminal, launcher: str) -> None:
    """As with tini: in ``pyinit ... </dev/null | less`` less needs it."""
    child = on_terminal("sh", "-c", f"{launcher} -- true </dev/null; echo now; read -r line; echo got $line")
    child.expect_exact("now\r\n")
    child.sendline("it")
    child.expect_exact("got it\r\n")


def test_in_the_background_the_terminal_is_not_taken(shell: "pexpect.spawn[str]", launcher: str) -> None:
    """The shell's group is in the foreground, and stays there."""
    shell.expect_exact(PROMPT)
    enter(shell, f"{launcher} -- sleep 600 &")
    assert "still here" in enter(shell, "echo still here")
    assert "Running" in enter(shell, "jobs")
    enter(shell, "kill %1; wait")


def test_a_death_by_ctrl_c_is_not_reported(on_terminal: Terminal) -> None:
    """The signal does not go through pyinit, but the person at the terminal knows why the workload ended."""
    child = on_terminal("sh", "-c", "echo ready; exec sleep 60")
    child.expect("ready")
    child.sendcontrol("c")
    child.expect(pexpect.EOF)
    assert "pyinit" not in str(child.before)
    assert child.wait() == 128 + signal.SIGINT


def test_without_its_files_it_ends_as_usual(on_terminal: Terminal, bin_folder: Path, tmp_path: Path) -> None:
    """An upgrade in a running container deletes them. Stragglers still have their time."""
    package = tmp_path / "pyinit"
    shutil.copytree(bin_folder.parent / "lib" / "pyinit", package)
    left = "trap 'sleep 0.2; echo saved; exit' TERM; echo ready; while :; do sleep 0.05; done"
    program = f'sh -c "$0" & read -r line; rm -r {package}; exit 3'
    init = [INTERPRETER, "-ISBXutf8", f"{package}/launcher.py", "--drain-timeout=60"]
    child = on_terminal("sh", "-c", program, left, init=init)
    child.expect_exact("ready\r\n")
    child.sendline()
    child.expect(pexpect.EOF)
    assert ("saved" in str(child.before), "pyinit" in str(child.before), child.wait()) == (True, False, 3)


@pytest.mark.parametrize("options", [["--verbose"], ["--verbose", "--session"]], ids=" ".join)
def test_a_closed_standard_input_takes_no_terminal(on_terminal: Terminal, launcher: str, options: list[str]) -> None:
    """The log opens the terminal of standard error anew as descriptor 0, which does not make it standard input."""
    look = """if True:
        import os
        terminal = os.open("/dev/tty", os.O_RDWR)
        print("ours" if os.tcgetpgrp(terminal) == os.getpgrp() else "not ours")
    """
    init = ["sh", "-c", 'exec "$@" 0<&-', "sh", launcher, *options]
    found = on_terminal(*python(look), init=init)
    found.expect(["not ours", "No such device or address"])
