"""The command that an installer makes of the distribution: it starts like a launcher of `pyinitctl install`."""

import math
import os
import site
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from packaging.tags import cpython_tags
from packaging.utils import parse_wheel_filename

from testing import ROOT
from testing.namespaces import INTERPRETER, UNSHARE, Ended, clean_environment
from testing.waiting import PATIENCE
from testing.wheels import build, copy_sources

pytestmark = pytest.mark.slow

ISOLATED = "-ISBXutf8"

SHOW = ["sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; exit 5"]
"""The command line of PID 1."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for this Python and this machine."""
    top = tmp_path_factory.mktemp("wheel")
    return build("wheel", copy_sources(top / "tree"), top / "dist")


@pytest.fixture(scope="module")
def wheel_for_any(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built without a C compiler."""
    top = tmp_path_factory.mktemp("any")
    return build("wheel", copy_sources(top / "tree"), top / "dist", cc="false")


def call(*words: str | Path, **variables: str) -> None:
    """Run a command without the network; fail if it fails."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "UV_OFFLINE": "1", **variables}
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run(*words: str | Path, **variables: str) -> Ended:
    """Run a command as PID 1 of its own namespace."""
    command = [*UNSHARE, *words]
    environment = clean_environment(**variables)
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=PATIENCE)
    return Ended(done.returncode, done.stdout, done.stderr)


def pip(python: str | Path, *words: str | Path, **variables: str) -> None:
    """Run the pip of the set-up for another interpreter."""
    call(sys.executable, "-m", "pip", "--python", python, *words, **variables)


def by_pip(wheel: Path, folder: Path) -> Path:
    """Into a virtual environment."""
    call(INTERPRETER, "-m", "venv", "--without-pip", folder)
    pip(folder / "bin" / "python", "install", wheel)
    return folder / "bin" / "pyinit"


def by_pip_with_a_space(wheel: Path, folder: Path) -> Path:
    """Into a path that no `#!` line can hold."""
    return by_pip(wheel, folder / "my environment")


def by_pip_for_a_user(wheel: Path, folder: Path) -> Path:
    """Into a user's site."""
    pip(INTERPRETER, "install", "--user", "--break-system-packages", wheel, PYTHONUSERBASE=str(folder))
    return folder / "bin" / "pyinit"


def by_pip_into_a_folder(wheel: Path, folder: Path) -> Path:
    """Into a folder for PYTHONPATH."""
    pip(INTERPRETER, "install", "--target", folder, wheel)
    return folder / "bin" / "pyinit"


def by_uv(wheel: Path, folder: Path, *options: str) -> Path:
    """Into a virtual environment of its own kind."""
    uv = [sys.executable, "-m", "uv", "--cache-dir", str(folder / "cache")]
    call(*uv, "venv", "--python", INTERPRETER, *options, folder / "venv")
    call(*uv, "pip", "install", "--python", folder / "venv" / "bin" / "python", wheel)
    return folder / "venv" / "bin" / "pyinit"


def by_uv_to_be_moved(wheel: Path, folder: Path) -> Path:
    """Into an environment whose scripts find their interpreter through a shell, and that is then moved."""
    by_uv(wheel, folder, "--relocatable")
    return (folder / "venv").rename(folder / "moved") / "bin" / "pyinit"


def by_uv_as_a_tool(wheel: Path, folder: Path) -> Path:
    """The command is a link into an environment of its own."""
    uv = [sys.executable, "-m", "uv", "--cache-dir", str(folder / "cache")]
    variables = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    call(*uv, "tool", "install", "--python", INTERPRETER, wheel, **variables)
    return folder / "bin" / "pyinit"


def by_pipx(wheel: Path, folder: Path) -> Path:
    """The same."""
    variables = {f"PIPX_{name}": str(folder / name) for name in ("HOME", "BIN_DIR", "MAN_DIR")}
    call(sys.executable, "-m", "pipx", "install", "--python", INTERPRETER, wheel, **variables)
    return folder / "BIN_DIR" / "pyinit"


INSTALLERS = [
    *(by_pip, by_pip_with_a_space, by_pip_for_a_user, by_pip_into_a_folder),
    *(by_uv, by_uv_to_be_moved, by_uv_as_a_tool, by_pipx),
]


@pytest.fixture
def hostile(tmp_path: Path) -> Mapping[str, str]:
    """Variables that end every interpreter that obeys them, before its first line."""
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "sitecustomize.py").write_text("import os; os._exit(88)\n")
    return {"PYTHONPATH": str(tmp_path / "hostile")}


@pytest.mark.parametrize("install", INSTALLERS, ids=lambda install: install.__name__)
def test_one_interpreter_is_started_and_it_is_isolated(
    wheel: Path, tmp_path: Path, hostile: Mapping[str, str], install: Callable[[Path, Path], Path]
) -> None:
    """With each installer: nothing in the image has an effect on it, and PID 1 has the command's name."""
    command = install(wheel, tmp_path / "installed")
    ended = run(command, "-v", "--", *SHOW, **hostile)
    interpreter, options, _ = ended.out.partition(f" {ISOLATED} -Xname=pyinit ")
    assert ended.status == 5 and options and "two interpreters" not in ended.err, ended
    assert os.path.realpath(interpreter) == INTERPRETER
    (tmp_path / "dumb-init").symlink_to(command)
    assert run(tmp_path / "dumb-init", "--version").out.startswith("dumb-init v1.2.5")


def test_it_acts_by_its_name_as_the_interpreter_of_a_script(wheel: Path, tmp_path: Path) -> None:
    """``#!/usr/bin/dumb-init``; and when a shell has found it in PATH."""
    (tmp_path / "dumb-init").symlink_to(by_pip(wheel, tmp_path / "venv"))
    script = tmp_path / "script"
    script.write_text(f"#!{tmp_path}/dumb-init --version\n")
    script.chmod(0o755)
    for ended in (run(script), run("sh", "-c", "exec dumb-init --version", PATH=f"{tmp_path}:/usr/bin:/bin")):
        assert ended.out.startswith("dumb-init v1.2.5"), ended


@pytest.mark.parametrize("build", ["", "t"], ids=["ordinary", "free-threaded"])
def test_a_wheel_is_for_both_builds_of_a_version(wheel: Path, build: str) -> None:
    """Both run the same bytecode (`sys.implementation.cache_tag`); the command is linked with neither."""
    major, minor = sys.version_info[:2]
    accepted = set(cpython_tags((major, minor), abis=[f"cp{major}{minor}{build}"]))
    assert accepted & parse_wheel_filename(wheel.name)[3], wheel.name


def test_nothing_is_left_after_an_uninstallation(wheel: Path, tmp_path: Path) -> None:
    """`pip uninstall` removes the command and the files that it starts."""
    by_pip(wheel, tmp_path / "venv")
    pip(tmp_path / "venv" / "bin" / "python", "uninstall", "--yes", "pyinit-pid1")
    assert not list(tmp_path.rglob("*pyinit*"))


def test_manual_pages_and_completions_come_with_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """pip puts them into the environment, and `pyinitctl install` beside its launchers."""
    command = by_pip(wheel, tmp_path / "venv")
    pages = relative_files(ROOT / "share")
    assert pages.items() <= relative_files(command.parents[1] / "share").items()
    (tmp_path / "bin").mkdir()
    call(command.with_name("pyinitctl"), "install", "--man", "--completions", tmp_path / "bin")
    assert pages == relative_files(tmp_path / "share")


def relative_files(folder: Path) -> Mapping[Path, bytes]:
    """The contents of the files in a folder."""
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_environment_is_handed_over_as_it_was(wheel: Path, tmp_path: Path) -> None:
    """Byte for byte: names that no shell knows, and the order."""
    environment = {b"z.y": b"1", b"PATH": os.environb[b"PATH"], b"a-b": b"\xff", b"_": b"", b"A": b"2"}
    words = [*UNSHARE, str(by_pip(wheel, tmp_path / "venv")), "--", "cat", "/proc/self/environ"]
    done = subprocess.run(words, env=environment, capture_output=True, timeout=PATIENCE)
    assert done.stdout == b"".join(b"%s=%s\0" % entry for entry in environment.items()), done


def test_without_its_files_it_says_so_in_one_line(wheel: Path, tmp_path: Path) -> None:
    """If it is copied alone into an image, or there is no interpreter."""
    command = by_pip(wheel, tmp_path / "venv")
    for name in ("python3", "python"):
        (command.parent / name).unlink()
    alone = Path(tmp_path, "pyinit")
    alone.write_bytes(command.read_bytes())
    alone.chmod(0o755)
    line = "pyinit: cannot start: no ../share/pyinit beside this command, or no interpreter\n"
    for path in (alone, command):
        assert run(path, "--", "true") == Ended(125, "", line)


def test_a_name_of_any_length_is_no_harm(wheel: Path, tmp_path: Path) -> None:
    """Whoever starts it gives it the name, which need not be a path."""
    command = by_pip(wheel, tmp_path / "venv")
    for length in (4_095, 5_000, 20_000, 100_000):
        words = ["/" + "a" * length, "--", "echo", "started"]
        done = subprocess.run(words, executable=command, capture_output=True, timeout=PATIENCE)
        assert (done.returncode, done.stdout) == (0, b"started\n"), done


def test_it_starts_as_fast_as_the_launcher(wheel: Path, tmp_path: Path, launcher: str) -> None:
    """At most a tenth slower, by the CPU time of the fastest of 20 starts, or of more as long as it is slower."""
    command = str(by_pip(wheel, tmp_path / "venv"))
    fastest = {command: math.inf, launcher: math.inf}
    for started in range(1, 200):
        for path in fastest:
            _, status, used = os.wait4(os.posix_spawn(path, [path, "--", "true"], clean_environment()), 0)
            assert status == 0
            fastest[path] = min(fastest[path], used.ru_utime + used.ru_stime)
        if started >= 20 and fastest[command] <= 1.1 * fastest[launcher]:
            return
    pytest.fail(f"{fastest}")


@pytest.mark.parametrize("command", [["pyinit"], ["python", "-m", "pyinit"]])
def test_without_a_compiler_it_works_too(wheel_for_any: Path, tmp_path: Path, command: list[str]) -> None:
    """The wheel is for any Python and machine, and PID 1 is isolated."""
    assert wheel_for_any.name.endswith("-py3-none-any.whl")
    bin_folder = by_pip(wheel_for_any, tmp_path / "venv").parent
    ended = run(bin_folder / command[0], *command[1:], "-w", "--", *SHOW)
    assert ended.status == 5 and f" {ISOLATED} -Xname=" in ended.out and ended.err == "", ended


def test_a_second_start_is_logged_with_the_remedy(
    wheel_for_any: Path, tmp_path: Path, hostile: Mapping[str, str]
) -> None:
    """Once, with `-v`. After following its advice, one interpreter is started."""
    command = by_pip(wheel_for_any, tmp_path / "venv")
    remedy = f"pyinitctl install {command}"
    assert run(command, "--", *SHOW).err == ""
    assert (
        run(command, "-v", "--", *SHOW).err.count(f"pyinit: two interpreters were started; {remedy} makes it one") == 1
    )
    call(command.with_name("pyinitctl"), *remedy.split()[1:])
    ended = run(command, "-v", "--", *SHOW, **hostile)
    assert ended.status == 5 and "two interpreters" not in ended.err, ended


def test_an_editable_installation_runs_the_sources(tmp_path: Path) -> None:
    """The script runs the current sources."""
    tree = copy_sources(tmp_path / "tree")
    call(INTERPRETER, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    with_setuptools = {"PYTHONPATH": site.getsitepackages()[0]}
    pip(python, "install", "--no-build-isolation", "--editable", tree, **with_setuptools)
    (tree / "pyinit" / "version.py").write_text('__version__ = "9.9.9"\n')
    assert run(python.with_name("pyinit"), "--version").out == "pyinit version 9.9.9\n"


def test_the_sdist_has_all_files_that_a_wheel_is_built_from(wheel: Path, tmp_path: Path) -> None:
    """A wheel built from it is the same."""
    sdist = build("sdist", copy_sources(tmp_path / "tree"), tmp_path / "dist")
    (tmp_path / "unpacked").mkdir()
    call("tar", "-xf", sdist, "-C", tmp_path / "unpacked", "--strip-components=1")
    again = build("wheel", tmp_path / "unpacked", tmp_path / "again")
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)


def contents(wheel: Path) -> Mapping[str, bytes]:
    """The files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
