"""pyinit as a job of a shell: Ctrl-Z, bg and fg work as without pyinit, with and without a session."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pexpect
import psutil
import pytest

from testing import packages, terminals
from testing.namespaces import INTERPRETER, clean_environment, python
from testing.waiting import PATIENCE, eventually

from .test_signals import LISTEN
from .test_terminal import PROMPT, Terminal, enter, on_terminal  # noqa: F401

Shell: TypeAlias = "pexpect.spawn[str]"
Spawn = Callable[..., Shell]


@pytest.fixture
def spawn(bin_folder: Path) -> Iterator[Spawn]:
    """Start a program as the leader of a session with a terminal, with pyinit in its PATH."""
    children: list[Shell] = []

    def spawn(*words: str) -> Shell:
        environment = dict(clean_environment(PS1=PROMPT, TERM="dumb"))
        environment["PATH"] += f":{bin_folder}"
        child: Shell = pexpect.spawn(
            words[0], list(words[1:]), env=environment, encoding="utf-8", timeout=PATIENCE, dimensions=(24, 250)
        )
        children.append(child)
        return children[-1]

    yield spawn
    for child in children:
        terminals.end(child)


@pytest.fixture
def shell(spawn: Spawn) -> Shell:
    """An interactive bash, with a prompt."""
    shell = spawn("bash", "--norc", "--noprofile", "-i")
    shell.expect_exact(PROMPT)
    return shell


with_and_without_session = pytest.mark.parametrize("pyinit", ["pyinit", "pyinit --session"])


def echoes(shell: Shell, line: str) -> None:
    """Check that a typed line comes back twice: from the terminal, and from cat(1)."""
    eventually(shell.getecho, "the shell's own editing of lines is over")
    shell.sendline(line)
    shell.expect_exact(f"{line}\r\n{line}\r\n")


def press_ctrl_z(shell: Shell) -> None:
    """Stop the foreground job; return at the prompt."""
    shell.sendcontrol("z")
    shell.expect_exact("Stopped")
    shell.expect_exact(PROMPT)


def foreground(shell: Shell) -> None:
    """Bring the job back; return when it waits. Before that the shell's SIGCONT could discard a Ctrl-Z."""
    shell.sendline("fg")
    shell.expect_exact("fg\r\n")
    eventually(Path(f"/proc/{shell.pid}/wchan").read_text, "the shell waits", holds="do_wait".__eq__)


def end_job(shell: Shell) -> None:
    """End the job with the shell's ``kill``, and check that the shell reports the status that stands for SIGTERM.

    (``wait %1`` fails if that has been reported, and does not wait for a job that is about to be continued.)
    bash may miss that the job has ended in its ``kill``, and looks again when another child has ended: a subshell.
    """
    said = [enter(shell, "kill %1")]

    def look() -> str:
        said.append(enter(shell, "(:); jobs"))
        return "".join(said)

    eventually(look, "the shell reports the end of the job", holds=re.compile(r"Exit 143|Terminated").search)


@with_and_without_session
def test_a_job_stops_and_goes_on(shell: Shell, pyinit: str) -> None:
    """Twice. In between the shell has the terminal. Then Ctrl-C ends the job."""
    shell.sendline(f"{pyinit} cat")
    echoes(shell, "first")
    for line in ("second", "third"):
        press_ctrl_z(shell)
        assert "Stopped" in enter(shell, "jobs")
        foreground(shell)
        echoes(shell, line)
    shell.sendintr()
    shell.expect_exact(PROMPT)
    assert enter(shell, "echo $?").split() == ["130"]


@with_and_without_session
def test_a_job_goes_on_in_the_background(shell: Shell, pyinit: str) -> None:
    """It is started there, brought to the foreground, stopped, and sent back; ``kill %1`` ends it."""
    enter(shell, f"{pyinit} sleep 600 &")
    assert "Running" in enter(shell, "jobs")
    foreground(shell)
    shell.expect_exact("sleep 600\r\n")
    press_ctrl_z(shell)
    enter(shell, "bg")
    assert "Running" in enter(shell, "jobs")
    end_job(shell)


@with_and_without_session
def test_a_stopped_job_can_be_ended(shell: Shell, pyinit: str) -> None:
    """The shell's ``kill`` sends CONT after TERM."""
    shell.sendline(f"{pyinit} cat")
    echoes(shell, "first")
    press_ctrl_z(shell)
    end_job(shell)


@with_and_without_session
def test_in_the_background_the_terminal_is_not_read(shell: Shell, pyinit: str) -> None:
    """The workload is stopped when it tries, and pyinit with it."""
    shell.sendline(f"{pyinit} cat &")
    shell.expect_exact(PROMPT)
    eventually(lambda: "tty input" in enter(shell, "jobs -l"), "the shell sees the job stop")
    foreground(shell)
    echoes(shell, "now")


@with_and_without_session
def test_a_running_job_that_comes_to_the_foreground_can_read(shell: Shell, pyinit: str, tmp_path: Path) -> None:
    """bash before 5.3 sends no signal then. The workload gets the terminal when it tries to read."""
    shell.sendline(f"{pyinit} sh -c 'until [ -e {tmp_path}/go ]; do sleep 0.05; done; exec cat' &")
    shell.expect_exact(PROMPT)
    foreground(shell)
    (tmp_path / "go").touch()
    echoes(shell, "here")


@with_and_without_session
def test_a_whole_script_is_stopped_and_goes_on(shell: Shell, tmp_path: Path, pyinit: str) -> None:
    """All of pyinit's process group stops, or the shell would not see the job stop. At the end the script reads."""
    script = tmp_path / "script"
    script.write_text(f"{pyinit} cat; echo after; read line; echo got $line\n")
    shell.sendline(f"sh {script}")
    echoes(shell, "first")
    press_ctrl_z(shell)
    foreground(shell)
    echoes(shell, "second")
    shell.sendeof()
    shell.expect_exact("after\r\n")
    echoed = "mine"
    shell.sendline(echoed)
    shell.expect_exact(f"got {echoed}\r\n")
    shell.expect_exact(PROMPT)


def test_the_terminal_is_given_back_if_the_program_does_not_exist(shell: Shell, tmp_path: Path) -> None:
    """The child had it, and has exited."""
    script = tmp_path / "script"
    script.write_text("pyinit no-such-program; read line; echo got $line\n")
    shell.sendline(f"sh {script}")
    shell.expect_exact("cannot find")
    shell.sendline("it")
    shell.expect_exact("got it\r\n")


def test_beside_a_pager(shell: Shell) -> None:
    """The whole pipeline is in the foreground, and the pager reads the keyboard."""
    shell.sendline(
        "pyinit sh -c 'echo a page; sleep 600' | sh -c 'read line; echo $line; read key </dev/tty; echo got $key'"
    )
    shell.expect_exact("a page\r\n")
    shell.sendline("q")
    shell.expect_exact("got q\r\n")
    shell.sendintr()
    shell.expect_exact(PROMPT)


@with_and_without_session
def test_as_a_pager(shell: Shell, pyinit: str) -> None:
    """Standard input is a pipe. The workload gets the terminal when it tries to read from it."""
    shell.sendline(f"echo a page | {pyinit} sh -c 'read line; echo $line; read key </dev/tty; echo got $key'")
    shell.expect_exact("a page\r\n")
    shell.sendline("q")
    shell.expect_exact("got q\r\n")
    shell.expect_exact(PROMPT)


@with_and_without_session
def test_an_editor(shell: Shell, tmp_path: Path, pyinit: str) -> None:
    """It is stopped with unsaved work, and brought back to save it."""
    editor = packages.provide("vim.tiny", "vim-tiny")
    shell.sendline(f"TERM=vt100 {pyinit} {editor} -u NONE {tmp_path}/text")
    shell.expect_exact("~")
    shell.send("ihello\x1b:file\r")
    shell.expect_exact("[Modified]")
    press_ctrl_z(shell)
    assert not (tmp_path / "text").exists()
    foreground(shell)
    shell.expect_exact("hello")
    shell.send(":wq\r")
    shell.expect_exact(PROMPT)
    assert (tmp_path / "text").read_text() == "hello\n"


def test_ctrl_z_does_nothing_if_no_shell_could_continue_the_job(spawn: Spawn) -> None:
    """pyinit's process group is orphaned, as with ``docker exec -it``. Without pyinit the workload's would be."""
    child = spawn("sh", "-c", "pyinit cat; echo $?")
    echoes(child, "first")
    child.sendcontrol("z")
    echoes(child, "second")
    child.sendeof()
    child.expect_exact("0\r\n")


def test_as_pid_1_ctrl_z_does_nothing(on_terminal: Terminal) -> None:  # noqa: F811
    """No shell could continue the workload."""
    child = on_terminal("cat")
    echoes(child, "first")
    child.sendcontrol("z")
    echoes(child, "second")


def test_as_pid_1_a_stop_that_was_sent_lasts(on_terminal: Terminal) -> None:  # noqa: F811
    """The user who sends it (``docker kill -s TSTP``) can send SIGCONT, too."""
    child = on_terminal("cat")
    echoes(child, "first")
    [init] = psutil.Process(child.pid).children()
    [workload] = init.children()
    init.send_signal(signal.SIGTSTP)
    eventually(lambda: workload.status() == psutil.STATUS_STOPPED, "the workload is stopped")
    init.send_signal(signal.SIGUSR1)  # leaves it stopped, and ends it when it goes on
    assert workload.status() == psutil.STATUS_STOPPED
    init.send_signal(signal.SIGCONT)
    child.expect(pexpect.EOF)
    assert child.wait() == 128 + signal.SIGUSR1


@with_and_without_session
def test_in_a_command_substitution(shell: Shell, pyinit: str) -> None:
    """bash ignores SIGTTIN there, so reading would fail without a stop: the workload has the terminal at once."""
    shell.sendline(f"x=$({pyinit} sh -c 'read line; echo got $line'); echo it $x")
    shell.sendline("this")
    shell.expect_exact("it got this\r\n")


def test_the_terminal_is_not_taken_from_a_shell_outside_of_the_namespace(shell: Shell) -> None:
    """From inside, the shell's group and pyinit's are both number 0."""
    enter(shell, "unshare --pid --fork --mount-proc --kill-child pyinit sh -c 'sleep 0.3; exec cat' &")
    time.sleep(0.6)  # nothing should happen, so there is no condition to wait for
    assert "still here" in enter(shell, "echo still here")
    enter(shell, "kill -KILL %1")


def test_ctrl_z_during_the_start_does_not_hang(shell: Shell, bin_folder: Path, tmp_path: Path) -> None:
    """The child has not executed the program yet. (The start is made to take longer here.)"""
    shutil.copytree(bin_folder.parent / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "lib" / "pyinit" / "workload" / "process.py"
    text = module.read_text()
    assert text.count("signals.restore(mask)") == 1
    go = tmp_path / "go"
    os.mkfifo(go)
    module.write_text(text.replace("signals.restore(mask)", f"posix.open({str(go)!r}, 0); signals.restore(mask)"))
    shell.sendline(f"{INTERPRETER} -ISBXutf8 {tmp_path}/lib/pyinit/launcher.py cat")
    shell.expect_exact("launcher.py cat\r\n")

    def has_terminal() -> bool:
        children = [one.pid for one in psutil.Process(shell.pid).children(recursive=True)]
        return os.tcgetpgrp(shell.child_fd) in children[1:]

    eventually(has_terminal, "the child has the terminal")
    shell.sendcontrol("z")
    shell.expect_exact("^Z")
    go.write_text("")
    echoes(shell, "it runs")
    press_ctrl_z(shell)


def test_two_in_one_orphaned_group(spawn: Spawn) -> None:
    """Ctrl-Z cannot stop such a group. Neither pyinit stops the other."""
    ticks = "while :; do sleep 0.1; echo tick; done"
    child = spawn("bash", "-c", f"pyinit sh -c '{ticks}' & pyinit cat; wait")
    child.expect_exact("tick\r\n")
    child.sendcontrol("z")
    child.expect_exact("^Z")
    for _ in range(5):
        child.expect_exact("tick\r\n")


CATCHES_ONCE = """if True:
    import os, signal, time
    def catch(*_):
        os.write(1, b"caught\\n")
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.signal(signal.SIGTSTP, catch)
    print("ready", flush=True)
    while True:
        print("alive", flush=True)
        time.sleep(0.2)
"""


def test_a_sent_stop_that_was_caught_does_not_count_for_a_later_ctrl_z(spawn: Spawn, tmp_path: Path) -> None:
    """The Ctrl-Z does nothing, because no shell would continue the workload."""
    (tmp_path / "catch.py").write_text(CATCHES_ONCE)
    child = spawn("bash", "-c", f"pyinit {INTERPRETER} -IS {tmp_path}/catch.py; true")
    child.expect_exact("ready\r\n")
    [init] = psutil.Process(child.pid).children()
    init.send_signal(signal.SIGTSTP)
    child.expect_exact("caught")
    time.sleep(1.1)  # a sent signal counts for a second
    child.sendcontrol("z")
    child.expect_exact("^Z")
    for _ in range(3):
        child.expect_exact("alive\r\n")
    assert init.status() != psutil.STATUS_STOPPED


def test_ctrl_z_stops_the_processes_that_are_left(shell: Shell, tmp_path: Path) -> None:
    """The workload has ended, and pyinit stays: the shell sees the job stop, and end with the last process."""
    daemon = "import os, time; os.setpgid(0, 0); print(os.getpid(), flush=True); time.sleep(600)"
    (tmp_path / "daemon.py").write_text(daemon)
    shell.sendline(f"pyinit --wait-for=all sh -c '{INTERPRETER} -IS {tmp_path}/daemon.py & read line'")
    shell.expect(r"\n(\d+)\r\n")
    [init] = psutil.Process(shell.pid).children()
    left = psutil.Process(int(shell.match.group(1)))  # type: ignore[union-attr]
    shell.sendline()
    eventually(lambda: left.ppid() == init.pid, "it is an orphan")
    eventually(lambda: os.tcgetpgrp(shell.child_fd) == os.getpgid(init.pid), "the terminal is pyinit's")
    press_ctrl_z(shell)
    eventually(lambda: left.status() == psutil.STATUS_STOPPED, "it is stopped")
    foreground(shell)
    eventually(lambda: left.status() != psutil.STATUS_STOPPED, "it goes on")
    left.kill()
    shell.expect_exact(PROMPT)


def test_a_sigcont_right_after_a_stop_is_not_lost(launcher: str) -> None:
    """It may arrive before pyinit has stopped. (One that arrives between two particular system calls is lost.)"""
    words = python("import time; print(flush=True); time.sleep(600)")
    with subprocess.Popen([launcher, *words], start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        init = psutil.Process(process.pid)
        both = [init, *init.children()]
        lost = 0
        for number in range(100):
            init.send_signal(signal.SIGTSTP)
            time.sleep(number % 10 / 10_000)
            init.send_signal(signal.SIGCONT)
            deadline = time.monotonic() + 10
            while psutil.STATUS_STOPPED in [member.status() for member in both]:
                if time.monotonic() > deadline:
                    lost += 1
                    init.send_signal(signal.SIGCONT)
                    deadline = time.monotonic() + PATIENCE
        assert lost < 10
        init.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143


def test_in_the_background_a_stop_of_the_workload_alone_does_not_stop_pyinit(shell: Shell) -> None:
    """A debugger, for example, also continues it alone, and pyinit would not notice."""
    enter(shell, "pyinit sleep 600 &")
    [init] = psutil.Process(shell.pid).children()
    eventually(lambda: [child.name() for child in init.children()] == ["sleep"], "the workload runs")
    [workload] = init.children()
    workload.suspend()
    eventually(lambda: workload.status() == psutil.STATUS_STOPPED, "the workload is stopped")
    time.sleep(0.2)  # nothing should happen
    assert "Running" in enter(shell, "jobs")
    workload.resume()
    end_job(shell)


def test_a_rewritten_sigcont_still_continues(shell: Shell) -> None:
    """Only the signal that the workload gets is rewritten."""
    shell.sendline("pyinit -r CONT:0 cat")
    echoes(shell, "first")
    press_ctrl_z(shell)
    foreground(shell)
    echoes(shell, "second")


def test_a_workload_that_dies_while_it_is_stopped_is_not_continued(launcher: str) -> None:
    """Not even by a rewritten SIGCONT during the drain: its pid may belong to another process by then."""
    program = """if True:
        import os, signal, time
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            print(flush=True)
        time.sleep(600)
    """
    command = [launcher, "-r", "CONT:USR1", "--drain-timeout=1", *python(program)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, start_new_session=True, text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        init = psutil.Process(process.pid)
        [workload] = init.children()
        init.send_signal(signal.SIGTSTP)
        eventually(lambda: init.status() == psutil.STATUS_STOPPED, "both have stopped")
        workload.kill()
        init.send_signal(signal.SIGCONT)
        _, complaints = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGKILL
    assert "carrying on" not in complaints


@with_and_without_session
def test_a_stop_that_was_sent_stops_both(launcher: str, pyinit: str) -> None:
    """Without a terminal, too: TSTP sent to pyinit stops both, and CONT continues both."""
    words = [*pyinit.split()[1:], *python("import time; print(flush=True); time.sleep(600)")]
    with subprocess.Popen([launcher, *words], start_new_session=True, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        init = psutil.Process(process.pid)
        [workload] = init.children()
        for _ in range(2):
            init.send_signal(signal.SIGTSTP)
            for member in (init, workload):
                eventually(lambda: member.status() == psutil.STATUS_STOPPED, "both have stopped")  # noqa: B023
            init.send_signal(signal.SIGCONT)
            for member in (init, workload):
                eventually(lambda: member.status() != psutil.STATUS_STOPPED, "both go on")  # noqa: B023
        init.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143


@pytest.fixture
def listener(tmp_path: Path) -> str:
    """The words of a workload that prints the first two signals that it gets."""
    (tmp_path / "listen.py").write_text(LISTEN)
    return f"{INTERPRETER} -IS {tmp_path}/listen.py 2"


@with_and_without_session
def test_a_new_window_size_is_signalled(shell: Shell, listener: str, pyinit: str) -> None:
    """By the terminal if the workload has it, otherwise by pyinit."""
    shell.sendline(f"{pyinit} {listener}")
    shell.expect_exact("ready\r\n")
    shell.setwinsize(33, 111)
    shell.expect_exact(f"{int(signal.SIGWINCH)}\r\n")


def test_a_new_window_size_is_signalled_to_a_job_from_the_background(shell: Shell, listener: str) -> None:
    """It has not tried to use the terminal yet. (bash 5.3 continues it as well, so SIGCONT may be the first signal.)"""
    shell.sendline(f"pyinit {listener} &")
    shell.expect_exact("ready\r\n")
    foreground(shell)
    shell.setwinsize(33, 111)
    shell.expect_exact(f"{int(signal.SIGWINCH)}\r\n")


def test_a_session_has_the_terminal(spawn: Spawn) -> None:
    """SIGHUP and SIGCONT from handing over the terminal are not forwarded, and Ctrl-C comes from the terminal."""
    facts = "import os; print(os.getsid(0) == os.getpgrp() == os.getpid() == os.tcgetpgrp(0), flush=True)"
    child = spawn("pyinit", "-vv", "--session", "--", *python(f"{facts}\n{LISTEN}", "1"))
    child.expect_exact("True\r\n")
    child.expect_exact("ready\r\n")
    child.sendintr()
    child.expect_exact(f"{int(signal.SIGINT)}\r\n")
    child.expect(pexpect.EOF)
    assert child.wait() == 0


LEFT = """if True:
    import os, signal, time
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda *_: (os.write(1, b"interrupted\\n"), os._exit(0)))
    print("left", flush=True)
    while True:
        time.sleep(60)
"""


def test_without_its_leader_a_session_gives_the_terminal_back(spawn: Spawn) -> None:
    """The second Ctrl-C reaches the processes that the workload left. At the first, they were already asked to end."""
    child = spawn(
        "pyinit", "-v", "--session", "--drain-timeout=60", "sh", "-c", '"$@" & read line', "sh", *python(LEFT)
    )
    child.expect_exact("left\r\n")
    child.sendline()
    child.expect_exact("asking 1 remaining process (python")
    child.sendintr()
    child.expect_exact("SIGINT from the kernel, not needed")
    child.sendintr()
    child.expect_exact("interrupted\r\n")
    child.expect(pexpect.EOF)
