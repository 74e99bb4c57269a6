"""Exit statuses."""

import errno
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from testing import ROOT
from testing.compiler import compile_c
from testing.namespaces import INTERPRETER, clean_environment, python
from testing.waiting import PATIENCE

from .conftest import Run, Start

ENDING = sorted(map(int, signal.valid_signals() - {17, 18, 19, 20, 21, 22, 23, 28}))
"""The signals that end a process by default: not CHLD, CONT, URG, WINCH and those that stop (signal(7))."""


@pytest.mark.parametrize("status", range(256))
def test_the_workloads_status_is_the_containers(run: Run, status: int) -> None:
    """Each of 0 to 255."""
    assert run("--", "sh", "-c", f"exit {status}").status == status


@pytest.mark.parametrize("number", ENDING)
def test_a_workload_ended_by_a_signal_is_128_and_the_signal(run: Run, number: int) -> None:
    """Each signal that can end a process."""
    program = """if True:
        import _signal, posix, sys
        number = int(sys.argv[1])
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        posix.kill(posix.getpid(), number)
    """
    assert run("--", *python(program, str(number))).status == 128 + number


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["-e", "x", "true"], 125, "option -e: 'x' is not an exit status from 0 to 255; see pyinit --help"),
    ],
)
def test_wrong_usage_has_a_status_and_one_line(run: Run, words: list[str], status: int, line: str) -> None:
    """The status is that of env(1), timeout(1) and docker run."""
    ended = run(*words)
    assert (ended.status, ended.err) == (status, f"pyinit: {line}\n")


USAGE = """\
pyinit: no program given; see pyinit --help
Usage: pyinit [OPTION]... [--] PROGRAM [ARG]...
       pyinit [OPTION]... --pause
"""


@pytest.mark.parametrize("words", [[], ["--"], ["-v"]])
def test_without_a_program_there_is_the_usage(run: Run, words: list[str]) -> None:
    """Three lines, because many users of an image without CMD have never seen pyinit's options."""
    ended = run(*words)
    assert (ended.status, ended.out, ended.err) == (125, "", USAGE)


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--log-format=json", "--nope", "true"], {}),
        (["--nope", "--log-format=json", "true"], {}),
        (["--log-format=json"], {}),
        ([], {"PYINIT_LOG_FORMAT": "json"}),
    ],
)
def test_a_usage_error_is_json_if_the_log_is(run: Run, words: list[str], variables: dict[str, str]) -> None:
    """One object, even where the text has several lines."""
    ended = run(*words, env=clean_environment(**variables))
    assert ended.status == 125
    line = json.loads(ended.err)
    expected = "unknown option --nope" if "--nope" in words else "no program given"
    assert (line["level"], line["event"], line["message"]) == ("error", "usage", f"{expected}; see pyinit --help")


def test_a_script_without_a_first_line_runs_through_sh(run: Run, tmp_path: Path) -> None:
    """As with execvp(3) and tini: with its arguments, found in PATH or by its path."""
    script = tmp_path / "greet"
    script.write_text('echo "$0 $*"; exit 7\n')
    script.chmod(0o755)
    by_path = run("--", str(script), "a", "b c")
    assert (by_path.status, by_path.out) == (7, f"{script} a b c\n")
    environment = clean_environment(PATH=f"{tmp_path}:{os.environ['PATH']}")
    by_name = run("--", "greet", env=environment)
    assert (by_name.status, by_name.out) == (7, f"{script} \n")


def test_path_is_searched_as_execvp_does(run: Run, tmp_path: Path) -> None:
    """A file that may not be executed is passed over; an empty entry is the working directory; EACCES beats ENOENT."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, mode in ((first, 0o644), (second, 0o755)):
        folder.mkdir()
        (folder / "tool").write_text("#!/bin/sh\necho $0\n")
        (folder / "tool").chmod(mode)
    past = run("--", "tool", env=clean_environment(PATH=f"/no/such:/etc/passwd:{first}:{second}:/usr/bin:/bin"))
    assert (past.status, past.out) == (0, f"{second}/tool\n")
    empty = run("--", "tool", env=clean_environment(PATH="/usr/bin::/bin"), cwd=second)
    assert (empty.status, empty.out) == (0, "tool\n")
    refused = run("--", "tool", env=clean_environment(PATH=f"{first}:/usr/bin:/bin"))
    assert refused.status == 126 and refused.err.startswith(f"pyinit: cannot execute 'tool' ({first}/tool): "), refused


def test_without_path_the_default_is_searched(run: Run) -> None:
    """/bin and /usr/bin, as with execvp(3)."""
    assert run("--", "sh", "-c", "exit 9", before=["/usr/bin/env", "-u", "PATH"]).status == 9


def test_statuses_are_remapped(run: Run) -> None:
    """To 0 or to another. Only the workload's own statuses, not those of pyinit."""
    assert run("-e", "143", "--", "sh", "-c", "kill -TERM $$").status == 0
    assert run("-e", "3:4", "--", "sh", "-c", "exit 3").status == 4
    assert run("-e", "3:4", "--", "sh", "-c", "exit 5").status == 5
    assert run("-e", "127", "--", "sh", "-c", "exit 127").status == 0
    assert run("-e", "127", "-e", "126", "--", "/no/such/program").status == 127
    assert run("-e", "125", "--").status == 125


def test_fork_refused_is_125_and_one_line(run: Run) -> None:
    """By RLIMIT_NPROC, for a user that it applies to, and that has no other process."""
    limited = ["prlimit", "--nproc=1", "setpriv", f"--reuid={20_000 + os.getpid() % 40_000}", "--clear-groups"]
    ended = run("--", "true", before=[*limited])
    assert ended.status == 125
    assert ended.err == "pyinit: cannot go on: cannot start a process: Resource temporarily unavailable\n"


@pytest.fixture(scope="session")
def without_write(bin_folder: Path) -> list[str]:
    """Words that refuse a program write(2), as a sandbox does."""
    source = ROOT / "soak" / "programs" / "contained.c"
    return [str(compile_c(source.read_text(), bin_folder.parent / source.stem)), "refuse", "write", str(errno.ENOSYS)]


@pytest.mark.parametrize(
    ("words", "status"), [(["sh", "-c", "exit 7"], 7), (["/no/such/program"], 127), (["/etc/passwd"], 126)]
)
def test_the_status_does_not_need_write(run: Run, without_write: list[str], words: list[str], status: int) -> None:
    """Without it no line can say why: so all but the log works."""
    ended = run("--", *words, before=without_write)
    assert (ended.status, ended.err) == (status, "")


def test_the_status_of_an_application_does_not_need_write(
    bare: Start, bin_folder: Path, without_write: list[str]
) -> None:
    """The same for the Python API."""
    program = "import pyinit, sys; pyinit.relaunch_if_pid1(); sys.exit(7)"
    environment = clean_environment(PYTHONPATH=str(bin_folder.parent / "lib"))
    ended = bare(*without_write, INTERPRETER, "-c", program, env=environment).end()
    assert (ended.status, ended.err) == (7, "")


def test_an_orphan_that_outlives_the_workload_does_not_hold_up_the_end(run: Run) -> None:
    """The kernel kills what is left when PID 1 ends."""
    assert run("--", "sh", "-c", f"sleep {PATIENCE * 2} & exit 6", stdout=None, stderr=None).status == 6


@pytest.mark.parametrize("word", ["--help", "-V", "--version", "-l"])
def test_help_and_version_go_to_standard_output(run: Run, word: str) -> None:
    """And nothing else happens."""
    ended = run(word)
    assert ended.status == 0
    assert "pyinit" in ended.out and ended.err == ""


def test_help_whose_reader_has_exited_ends_quietly(launcher: str) -> None:
    """Like any command: ``pyinit --help | true``."""
    done = subprocess.run(["bash", "-c", f"{launcher} --help | true; echo ${{PIPESTATUS[0]}}"], capture_output=True)
    assert done.stderr == b"" and done.stdout in (b"141\n", b"0\n")


def test_help_into_a_full_device_is_an_error(run: Run) -> None:
    """One line, 125."""
    with open("/dev/full", "wb") as full:
        ended = run("--help", stdout=full)
    assert (ended.status, ended.err) == (
        125,
        "pyinit: cannot go on: cannot write to standard output: No space left on device\n",
    )


def test_a_workload_that_stops_and_continues_is_still_there(run: Run) -> None:
    """pyinit does not take a stop for an end."""
    is_stopped = "grep -q '^State:.T' /proc/$$/status"
    program = f"(until {is_stopped}; do sleep 0.05; done; kill -CONT $$) & kill -STOP $$; exit 8"
    assert run("--", "sh", "-c", program, stdout=None).status == 8
