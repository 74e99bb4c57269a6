"""Every command line that tini accepts means the same here: both run it, and the outcome is compared.

Two differences are intended. Options end at the first word that is none, as with POSIX getopt(3) and with tini
under POSIXLY_CORRECT; the GNU one goes on behind PROGRAM, and takes from it what looks like an option. And log lines
go to standard error: tini's from ``-v`` on stand among what the workload writes.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tools import debian

from .conftest import PATIENCE, UNSHARE, clean_environment


@pytest.fixture(scope="session")
def tini() -> str:
    """The peer itself, from Debian's packages."""
    return debian.provide("tini", "tini")


def outcome(init: str, line: str, folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    """The status of PID 1, and what the workload wrote."""
    environment = clean_environment(POSIXLY_CORRECT="1", **variables)
    command = [*UNSHARE, init, *shlex.split(line)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, re.sub(r"^\[(INFO|DEBUG|TRACE) +tini .*\n", "", done.stdout, flags=re.MULTILINE)


LINES = [
    "true",
    "-- true",
    "sh -c 'exit 3'",
    "-- sh -c 'exit 3'",
    "-- sh -c 'kill -TERM $$'",
    "-- echo a '' 'b c' -v -- -g",
    "echo -- -v",
    "-- -- true",
    "-v -- echo x",
    "-vvv -- echo x",
    "-vvvvvv -- echo x",
    "-g -- echo x",
    "-s -- echo x",
    "-w -- echo x",
    "-gsvw echo x",
    "-p SIGTERM -- echo x",
    "-pSIGUSR1 echo x",
    "-vp SIGHUP echo x",
    "-e 3 -- sh -c 'exit 3'",
    "-e3 sh -c 'exit 3'",
    "-e 3 -e 4 -- sh -c 'exit 4'",
    "-ge 143 -- sh -c 'kill -TERM $$'",
    "-e 3 -- sh -c 'exit 5'",
    "-e 0 -- sh -c 'exit 255'",
    "no-such-program",
    "/no/such/program",
    "/etc/passwd",
    "/etc",
    "./script a b",
    "-- sh -c 'ps -o pgid= -p $$; ps -o pid= -p $$'",
    "-- cat /proc/self/environ",
]


def test_options_behind_the_program_are_the_programs(launcher: str, tini: str, tmp_path: Path) -> None:
    """Where tini with GNU getopt takes them for its own."""
    assert outcome(launcher, "echo -v -- a", tmp_path, {}) == (0, "-v -- a\n")
    gnu = subprocess.run([*UNSHARE, tini, "echo", "-w", "--", "a"], capture_output=True, text=True, timeout=PATIENCE)
    assert gnu.stdout == "a\n"


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_of_tini_means_the_same(launcher: str, tini: str, tmp_path: Path, line: str) -> None:
    """The same status, and a workload that saw the same."""
    (tmp_path / "script").write_text('echo "$0 $*"; exit 9\n')
    (tmp_path / "script").chmod(0o755)
    assert outcome(launcher, line, tmp_path, {}) == outcome(tini, line, tmp_path, {})


@pytest.mark.parametrize("variable", ["TINI_SUBREAPER", "TINI_KILL_PROCESS_GROUP", "TINI_VERBOSITY"])
@pytest.mark.parametrize("value", ["1", "3"])
def test_a_variable_of_tini_is_accepted(launcher: str, tini: str, tmp_path: Path, variable: str, value: str) -> None:
    """It is for tini, and the workload gets it too."""
    line = f"-- sh -c 'echo ${variable}; exit 4'"
    seen = [outcome(init, line, tmp_path, {variable: value}) for init in (launcher, tini)]
    assert seen[0] == seen[1] == (4, f"{value}\n")


@pytest.mark.parametrize("line", ["-h", "-l", "--version"])
def test_what_tini_prints_pyinit_prints_of_itself(launcher: str, tini: str, tmp_path: Path, line: str) -> None:
    """Standard output, and status 0."""
    for init in (launcher, tini):
        status, printed = outcome(init, line, tmp_path, {})
        assert status == 0 and printed
