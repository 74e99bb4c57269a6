"""PID 1 does not trust the image."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import pyinit
from testing import ROOT
from testing.coverage import copy_package
from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, Ended, clean_environment, python
from testing.waiting import PATIENCE

from .conftest import Run

HOSTILE = {
    "PYTHONHOME": "/nowhere",
    "PYTHONINSPECT": "1",
    "PYTHONMALLOC": "debug",
    "PYTHONVERBOSE": "3",
    "PYTHONSTARTUP": "/etc/passwd",
    "PYTHONOPTIMIZE": "2",
    "PYTHONPROFILEIMPORTTIME": "1",
    "PYTHONIOENCODING": "nonsense",
    "PYTHONDUMPREFS": "1",
    "PYTHONCASEOK": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONHASHSEED": "nonsense",
}


@pytest.fixture
def hostile_folder(tmp_path: Path) -> Path:
    """A folder with modules named like those that an interpreter loads. They end the program that imports them."""
    for name in ("sitecustomize", "usercustomize", "posix", "os", "encodings", "signal", "pyinit", "ctypes", "init"):
        (tmp_path / f"{name}.py").write_text("import sys; sys.stderr.write('hostile\\n'); sys.exit(99)\n")
    return tmp_path


@pytest.mark.parametrize("variable", [*HOSTILE, "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONUSERBASE"])
def test_no_variable_reaches_pid_1(run: Run, hostile_folder: Path, variable: str) -> None:
    """Each would end, change or slow the interpreter. The workload still gets it."""
    value = HOSTILE.get(variable, str(hostile_folder))
    ended = run(
        "--", "sh", "-c", f'[ "${variable}" = "{value}" ] && exit 7', env=clean_environment(**{variable: value})
    )
    assert (ended.status, ended.out, ended.err) == (7, "", ""), ended


def test_no_modules_are_loaded_from_the_working_directory(run: Run, hostile_folder: Path) -> None:
    """Nor from the launcher's folder."""
    ended = run("-vvv", "-p", "TERM", "--", "sh", "-c", "exit 7", cwd=hostile_folder)
    assert ended.status == 7 and "hostile" not in ended.err


def imported(words: list[str | Path]) -> list[str]:
    """The modules that an interpreter imports, in order, by ``-X importtime``."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")][1:]


@pytest.mark.unmeasured
def test_the_core_imports_only_what_is_compiled_in_and_its_own(launcher: str) -> None:
    """Between the start and the waiting loop: built-in and frozen modules, and pyinit's. Modules that the bare
    interpreter imports do not count."""
    flags = ["-ISB", "-Xutf8", "-Ximporttime"]
    bare = imported([INTERPRETER, *flags, "-c", "pass"])
    names = imported([*UNSHARE, INTERPRETER, *flags, launcher, "-g", "-r", "TERM:INT", "-e", "7", "--", "sleep", "2"])
    # Modules after this one are loaded when the workload has ended.
    names = names[: names.index("pyinit.reporting.exit_report") + 1]
    ours = [name for name in names if name.partition(".")[0] == "pyinit"]
    # Not all that is built into this interpreter: Debian's has more built in than others.
    assert set(names) - set(bare) - set(ours) <= {"posix", "_signal", "errno", "time", "_stat"}
    assert {"pyinit.main", "pyinit.init"} <= set(ours)
    assert not {"pyinit.options.help", "pyinit.kernel.libc"} & set(ours), "loaded though not needed"
    assert not [name for name in ours if name.startswith("pyinit.ctl")]


CORE = """
    account ending ending.stages forwarder init kernel kernel.cgroup kernel.numbers kernel.procfs kernel.reserves
    kernel.signals kernel.wait_status main options options.settings reaper reporting reporting.counters
    reporting.exit_report reporting.fates reporting.humanize reporting.log schedule version workload
    workload.environment workload.process
"""
"""The modules that PID 1 imports without an option, until it reports the end."""


@pytest.mark.unmeasured
def test_the_modules_of_a_plain_start_are_these(launcher: str) -> None:
    """No others: each costs PID 1 time and memory. What only pyinitctl needs is not among them."""
    flags = ["-ISB", "-Xutf8", "-Ximporttime"]
    names = imported([*UNSHARE, INTERPRETER, *flags, launcher, "--", "sleep", "2"])
    ours = [name.removeprefix("pyinit.") for name in names if name.startswith("pyinit.")]
    assert sorted(ours) == CORE.split()


def test_pid_1_imports_itself_from_the_compiled_file(launcher: str) -> None:
    """And from nowhere else, though the sources are there."""
    told = subprocess.run(
        [*UNSHARE, INTERPRETER, "-ISBv", launcher, "--", "true"], capture_output=True, text=True
    ).stderr
    loaders = dict(re.findall(r"^import '(pyinit[.\w]*)' # <(\S+) object", told, re.MULTILINE))
    assert "pyinit.main" in loaders and set(loaders.values()) == {"pyinit.loader.Finder"}, told


@pytest.mark.unmeasured
@pytest.mark.parametrize("option", [[], ["--subreaper"], ["--parent-death-signal=TERM"]])
def test_one_module_more_is_loaded_if_not_pid_1(launcher: str, option: list[str]) -> None:
    """``_ctypes``, for prctl(2). Its wrapper ``ctypes`` would cost five milliseconds."""
    flags = ["-ISB", "-Xutf8", "-Ximporttime"]
    below_a_shell = [*UNSHARE, "sh", "-c", '"$@"; exit $?', "sh"]
    bare = imported([INTERPRETER, *flags, "-c", "pass"])
    names = imported([*below_a_shell, INTERPRETER, *flags, launcher, *option, "--", "true"])
    if "pyinit.kernel.cgroup" in names:  # on a busy machine, where `true` takes a while, the end is prepared for
        names = names[: names.index("pyinit.kernel.cgroup")]
    ours = {name for name in names if name.partition(".")[0] == "pyinit"}
    assert set(names) - set(bare) - ours <= {"posix", "_signal", "errno", "time", "_stat", "_ctypes"}


@pytest.mark.unmeasured
def test_a_session_without_a_terminal_needs_no_module_for_one(launcher: str) -> None:
    """The child would import them, after the fork."""
    names = imported([*UNSHARE, INTERPRETER, "-ISB", "-Xutf8", "-Ximporttime", launcher, "--session", "--", "true"])
    assert "pyinit.workload.session" in names and not {"fcntl", "termios"} & set(names)


ASK_STATUS = 'until "$0" health >/dev/null 2>&1; do :; done; exec "$0" status --json'
"""PID 1 may not have published its counters when the workload starts."""


@pytest.mark.parametrize("installed", [True, False], ids=["installed", "from sources"])
def test_pid_1_needs_no_file_that_the_workload_deletes(tmp_path: Path, installed: bool, lines_run: Path | None) -> None:
    """It first deletes the whole package, the compiled file and the launcher. Orphans are still reaped, and the drain
    and the report are the same."""
    copy_package(tmp_path / "lib" / "pyinit", lines_run)
    words = [str(tmp_path / "pyinit")]
    if installed:
        install = [INTERPRETER, "-m", "pyinit.ctl", "install", words[0]]
        subprocess.run(install, cwd=tmp_path / "lib", check=True, capture_output=True)
    else:
        words = [INTERPRETER, "-ISBXutf8", str(tmp_path / "lib" / "pyinit" / "launcher.py")]
    options = ["-w", "--orphans=terminate", "--zombie-watch=1", "--exit-report=always", "--drain-timeout=3"]
    orphan = """until grep -q '^PPid:.1$' /proc/$$/status; do :; done; exit 4"""
    # The orphan has the pipe to cat(1), which ends with it.
    program = 'rm -r "$0"/*; (trap "" TERM; sleep 100) & (trap "" TERM; sh -c "$1" &) | cat; sleep 0.5; exit 3'
    ended = run_as_module([*IN_TIME, *words, *options, "--", "bash", "-c", program, tmp_path, orphan])
    assert not list(tmp_path.iterdir())
    assert ended.status == 3 and "Traceback" not in ended.err, ended
    assert "exited with 4" in ended.err and "No module" not in ended.err, ended


def run_as_module(words: list[str | Path], **popen: object) -> Ended:
    """Run a command as PID 1 of its own namespace."""
    done = subprocess.run([*UNSHARE, *words], cwd="/", capture_output=True, text=True, timeout=PATIENCE, **popen)  # type: ignore[call-overload]
    return Ended(done.returncode, done.stdout, done.stderr)


def test_python_m_pyinit_starts_over_in_isolation_once(bin_folder: Path, tmp_path: Path) -> None:
    """The second interpreter is isolated. Changes by the first are undone for the workload."""
    environment = {"A": "1", "PATH": os.environ["PATH"], "PYTHONPATH": str(bin_folder.parent / "lib"), "Z": "2"}
    program = (
        "tr '\\0' ' ' < /proc/1/cmdline; echo; tr '\\0' '\\n' < /proc/self/environ; grep ^SigIgn /proc/self/status"
    )
    ended = run_as_module([INTERPRETER, "-m", "pyinit", "--", "sh", "-c", program], env=environment)
    lines = ended.out.splitlines()
    own = bin_folder.parent / "lib" / "pyinit" / "launcher.py"
    assert lines[0].startswith(f"{INTERPRETER} -ISBXutf8 -Xname=pyinit -Xmask= {own} -- sh -c "), ended
    assert lines[1:5] == [f"{key}={value}" for key, value in environment.items()], ended
    ignored = int(lines[-1].removeprefix("SigIgn:"), 16)
    assert not ignored & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1 | 1 << signal.SIGINT - 1)


def test_python_m_pyinit_hands_arguments_over_byte_for_byte(bin_folder: Path) -> None:
    """Through both interpreters."""
    show = python("import os, sys; print([os.fsencode(word) for word in sys.argv[1:]])")
    for locale in ({}, {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}):
        environment = {"PYTHONPATH": str(bin_folder.parent / "lib"), **locale}
        words = [INTERPRETER, "-m", "pyinit", "--", *show, b"\xff\xfe", b"\xc3\xa9", b""]
        ended = run_as_module(words, env=environment)  # type: ignore[arg-type]
        assert ended.out == str([b"\xff\xfe", b"\xc3\xa9", b""]) + "\n"


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/no/such/folder/pyinit", "cannot write /no/such/folder/pyinit: No such file or directory"),
        ("/proc/pyinit", "cannot write /proc/pyinit: No such file or directory"),
        ("/dev/null", "cannot install: /dev/null exists and is not a regular file"),
        ("/etc/passwd/pyinit", "cannot write /etc/passwd/pyinit: Not a directory"),
        ("/no/such\nfolder", "cannot write /no/such\\x0afolder: No such file or directory"),
        ("", "cannot write '': No such file or directory"),
    ],
)
def test_an_installation_that_fails_says_why_in_one_line(bin_folder: Path, path: str, complaint: str) -> None:
    """Status 1, no traceback."""
    done = subprocess.run([bin_folder / "pyinitctl", "install", path], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"pyinitctl: {complaint}\n")


def test_a_partial_installation_says_what_was_written(bin_folder: Path, tmp_path: Path) -> None:
    """A folder has the name of the second launcher: it is left alone, and the first launcher is written."""
    (tmp_path / "pyinitctl").mkdir()
    command = [str(bin_folder / "pyinitctl"), "install", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    package = bin_folder.parent / "lib" / "pyinit"
    assert done.returncode == 1
    assert done.stdout == f"wrote {tmp_path}/pyinit for {INTERPRETER}, to run {package}\n"
    assert done.stderr == f"pyinitctl: cannot install: {tmp_path}/pyinitctl exists and is not a regular file\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pyinit", "pyinitctl"]


def test_a_file_is_replaced_in_one_step_and_a_link_is_not_followed(bin_folder: Path, tmp_path: Path) -> None:
    """A process that is reading the old file reads it to its end."""
    (tmp_path / "init").write_text("old")
    (tmp_path / "link").symlink_to("init")
    subprocess.run([bin_folder / "pyinitctl", "install", tmp_path / "link"], check=True, capture_output=True)
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "init").read_text() == "old"
    with open(tmp_path / "init") as old:
        subprocess.run([bin_folder / "pyinitctl", "install", tmp_path / "init"], check=True, capture_output=True)
        assert old.read() == "old"
    assert (tmp_path / "link").read_text() == (tmp_path / "init").read_text() != "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["init", "link"]


def test_a_path_that_is_called_pyinitctl_gets_that_launcher(bin_folder: Path, tmp_path: Path) -> None:
    """A path of any other name gets that of pyinit."""
    for name, version in (("pyinitctl", "pyinitctl version "), ("init", "pyinit version ")):
        target = tmp_path / name
        command = [str(bin_folder / "pyinitctl"), "install", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
        assert done.stdout.startswith(f"wrote {target} for ") and done.stdout.count("\nwrote") == 0, done
        told = subprocess.run([target, "--version"], capture_output=True, text=True, timeout=PATIENCE)
        assert (told.returncode, told.stdout[: len(version)]) == (0, version), told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["init", "pyinitctl"]


@pytest.mark.parametrize("words", [[], ["--single-file"]])
@pytest.mark.parametrize("name", ["folder", "pyinitctl"])
def test_a_path_with_a_slash_at_the_end_must_be_a_folder(
    bin_folder: Path, tmp_path: Path, words: list[str], name: str
) -> None:
    """If it does not exist, nothing is written: status 1 and one line."""
    command = [str(bin_folder / "pyinitctl"), "install", *words, f"{tmp_path / name}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    line = f"pyinitctl: cannot write {tmp_path / name}: No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
    assert not list(tmp_path.iterdir())
    (tmp_path / name).mkdir()
    subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)
    written = sorted(path.name for path in (tmp_path / name).iterdir())
    assert written == (["pyinit"] if words else ["pyinit", "pyinitctl"])


def install_copy(folder: Path, **variables: str) -> Path:
    """Install a copy of the package below the folder; return the package."""
    copy_package(folder / "pyinit", None)
    command = [INTERPRETER, "-m", "pyinit.ctl", "install", str(folder / "launcher")]
    subprocess.run(command, cwd=folder, env=clean_environment(**variables), check=True, capture_output=True)
    return folder / "pyinit"


COMPILED = f"compiled.{sys.implementation.cache_tag}.zip"


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables", [{"PYTHONOPTIMIZE": "2"}, {"PYTHONPYCACHEPREFIX": "/nowhere"}, {"PYTHONDONTWRITEBYTECODE": "1"}]
)
def test_no_variable_decides_what_is_compiled(tmp_path: Path, variables: dict[str, str]) -> None:
    """The launcher's interpreter ignores them, and would not find the file."""
    plain, other = install_copy(tmp_path / "plain"), install_copy(tmp_path / "other", **variables)
    assert (plain / COMPILED).read_bytes() == (other / COMPILED).read_bytes()


def test_an_installation_writes_one_file_into_the_package(tmp_path: Path) -> None:
    """And none into `__pycache__`: debuggers need the line numbers there."""
    package = install_copy(tmp_path, PYTHONDONTWRITEBYTECODE="1")
    written = {path.relative_to(package) for path in package.rglob("*")}
    given = {path.relative_to(ROOT / "pyinit") for path in (ROOT / "pyinit").rglob("*")}
    assert {str(path) for path in written - given} | {COMPILED} == {COMPILED} and (package / COMPILED).exists()


def test_the_compiled_file_is_enough(tmp_path: Path, lines_run: Path | None) -> None:
    """As in our image: of the sources there are only those that lead to it. Without it, the last line says
    what is missing."""
    library = tmp_path / "lib"
    copy_package(library / "pyinit", lines_run)
    install: list[str | Path] = [INTERPRETER, "-m", "pyinit.ctl", "install", tmp_path]
    subprocess.run(install, cwd=library, check=True, capture_output=True)
    for path in (library / "pyinit").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in ("__init__.py", "launcher.py", "packed.py", COMPILED):
            path.unlink()
    words: list[str | Path] = [tmp_path / "pyinit", "--", "sh", "-c", ASK_STATUS, tmp_path / "pyinitctl"]
    ended = run_as_module(words)
    assert (ended.status, json.loads(ended.out)["workload"]["pid"], ended.err) == (0, 2, ""), ended
    looks = "import pyinit; from importlib.util import find_spec"
    shows = "print(dir(pyinit), hasattr(pyinit, 'nothing'), find_spec('pyinit.nothing'), find_spec('nothing'))"
    program: list[str | Path] = [INTERPRETER, "-c", f"{looks}; {shows}; pyinit.run(['sh', '-c', 'exit 3'])"]
    variables = clean_environment(PYTHONPATH=str(library))
    ended = run_as_module(program, env=variables)
    assert (ended.status, ended.out, ended.err) == (3, f"{pyinit.__all__} False None None\n", ""), ended
    (library / "pyinit" / COMPILED).unlink()
    ended = run_as_module(words)
    assert (ended.status, ended.err.count("\n")) == (125, 1) and COMPILED in ended.err, ended
    ended = run_as_module(program, env=variables)
    assert ended.status == 1 and "'pyinit.version'" in ended.err.splitlines()[-1], ended


def test_a_single_file_is_enough(bin_folder: Path, tmp_path: Path) -> None:
    """Alone, by a relative path, as PID 1. Modules that are loaded late are in it, and it is named after the file."""
    command = [INTERPRETER, "-m", "pyinit.ctl", "install", "--single-file", str(tmp_path / "one")]
    subprocess.run(command, cwd=bin_folder.parent / "lib", check=True, capture_output=True)
    (tmp_path / "dumb-init").symlink_to("one")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*UNSHARE, *words],
            cwd=tmp_path,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    for name, not_found in (("./one", 127), ("./dumb-init", 2)):
        done = run(name, "-v", "--", "sh", "-c", "(sleep 0.1 &); exit 3")
        assert done.returncode == 3
        assert done.stderr.splitlines()[-1].startswith("pyinit: sh (pid 2) exited with 3"), done
        assert run(name, "no-such-program").returncode == not_found


def test_python_m_pyinit_without_its_launcher_says_so_in_one_line(tmp_path: Path, lines_run: Path | None) -> None:
    """And ends with pyinit's own status."""
    copy_package(tmp_path / "pyinit", lines_run)
    launcher = tmp_path / "pyinit" / "launcher.py"
    launcher.unlink()
    environment = clean_environment(PYTHONPATH=str(tmp_path))
    ended = run_as_module([INTERPRETER, "-m", "pyinit", "--", "true"], env=environment)
    line = f"pyinit: cannot start {launcher}: No such file or directory\n"
    assert (ended.status, ended.out, ended.err) == (125, "", line)


def test_the_installed_command_acts_by_its_name(bin_folder: Path, tmp_path: Path) -> None:
    """The script that an installer makes of the entry point, and a link to it."""
    command = tmp_path / "pyinit"
    command.write_text(f"#!{INTERPRETER}\nfrom pyinit.__main__ import main\nmain()\n")
    command.chmod(0o755)
    (tmp_path / "tini").symlink_to(command)
    environment = clean_environment(PYTHONPATH=str(bin_folder.parent / "lib"))
    for path, version in ((command, "pyinit version "), (tmp_path / "tini", "tini version 0.19.0")):
        done = subprocess.run([path, "--version"], env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.stdout.startswith(version), done


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="it takes memory in such large pieces that it starts with enough for pyinit, or not at all",
)
def test_without_memory_to_start_it_says_so_in_one_line(launcher: str) -> None:
    """The compiled file is not to blame. (With less, the interpreter itself does not start.)"""
    said = set()
    for kilobytes in range(5_000, 16_000, 1_000):
        words = ["bash", "-c", 'ulimit -d "$0"; exec "$@"', str(kilobytes), launcher, "--", "true"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
        assert "pyinit: cannot start" not in done.stderr or done.stderr == "pyinit: cannot start: out of memory\n", done
        said.add(done.stderr)
    assert "pyinit: cannot start: out of memory\n" in said


@pytest.mark.parametrize("close", [False, True])
def test_a_launcher_without_its_folder_says_so_in_one_line(launcher: str, tmp_path: Path, close: bool) -> None:
    """As if it was copied alone into an image: 125 and no traceback, also with standard error closed."""
    alone = tmp_path / "pyinit"
    alone.write_text(re.sub("FOLDER = .*", "FOLDER = '/nowhere'", Path(launcher).read_text()))
    alone.chmod(0o755)
    words = ["bash", "-c", '"$0" -- true 2>&-', str(alone)] if close else [str(alone), "--", "true"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    line = f"cannot start: No module named 'pyinit.loader' (/nowhere/pyinit/{COMPILED}: No such file or directory)"
    assert (done.returncode, done.stderr) == (125, "" if close else f"pyinit: {line}\n")
