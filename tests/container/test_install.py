"""The ways into an image: the lines of README.md, docs/install.md and docs/migrating.md are built here."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import copytree, ignore_patterns

import docker
import pytest
import setuptools
from docker.models.images import Image

from testing import ROOT
from testing.base_images import BASE_IMAGES, SLIM
from testing.blocks import block, blocks
from testing.containers import Containers, Ended, await_counters, execute, printed
from testing.images import built
from testing.wheels import build as build_distribution
from testing.wheels import copy_sources

SHOWN = "python:3.13-slim"
"""The base image on the pages."""

PYTHON = r"/usr(/local)?/bin/python[0-9.]*"
PACKAGE = r"/usr/local/lib/python3\.[0-9]+/(dist|site)-packages/pyinit"
COMPILED = r"compiled\.cpython-[0-9]+\.zip"
"""Patterns for the path of a base's interpreter, and for that of a package installed by pip. Debian's differ."""

README, GUIDE, FROM_TINI = ROOT / "README.md", *(ROOT / "docs" / name for name in ("install.md", "migrating.md"))

# The application: it has an orphan, waits until it is reaped, and prints PID 1's command line. 99 if it is not reaped.
APP = """
import os, subprocess, sys, time
orphan = int(subprocess.check_output(["sh", "-c", "sleep 0.1 >&- & echo $!"]))
deadline = time.monotonic() + 60
while os.path.exists(f"/proc/{orphan}"):
    if time.monotonic() > deadline:
        sys.exit(99)
    time.sleep(0.01)
words = open("/proc/1/cmdline").read().split("\\0")
print(*words[: words.index("--")])
sys.exit(3)
"""

# Ends the interpreter of PID 1 if that obeys it.
SITECUSTOMIZE = "import os\nif os.getpid() == 1: os._exit(88)\n"
HOSTILE = {"PYTHONPATH": "/hostile"}

# Only the wheel, as pip installs it.
WHEEL_ALONE = f"""
FROM {SLIM}
COPY dist/pyinit_pid1-*.whl /tmp/
RUN pip install --no-index /tmp/pyinit_pid1-*.whl && useradd --create-home app
COPY app.py /
"""

# Pure Python packages of the set-up: a pip for the bases that have none, and those that build a wheel.
PIP = "PYTHONPATH=/tools PIP_NO_INDEX=1 PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip"

# The wheel for the Python of a base.
WHEEL_FOR_BASE = f"""
FROM {{base}}
COPY tools /tools
COPY tree /tree
RUN {PIP} wheel --no-build-isolation --wheel-dir=/dist /tree
"""

Build = Callable[[str], AbstractContextManager[Image]]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the application, the wheel for any Python, and the files of a hostile image.

    Also the sources as a folder, the same with the command compiled, an sdist, and the packages that build them.
    """
    tree, context = copy_sources(tmp_path_factory.mktemp("sources") / "tree"), tmp_path_factory.mktemp("context")
    [words] = re.findall(r"^    CC=false python3 (-m pip wheel .*)$", GUIDE.read_text(), re.MULTILINE)
    # Nothing is downloaded: the set-up has all that builds them.
    command, environment = [sys.executable, *words.split(), "--no-build-isolation"], {**os.environ, "CC": "false"}
    done = subprocess.run(command, env=environment, cwd=tree, capture_output=True)
    assert done.returncode == 0, done.stderr
    (tree / "dist").rename(context / "dist")
    copy_sources(context / "tree")
    build_distribution("sdist", context / "tree", context / "sdist")
    build_distribution("wheel", context / "tree", tree / "native")
    for name in ("setuptools", f"setuptools-{setuptools.__version__}.dist-info", "_distutils_hack", "pip"):
        # Without the compiled files, which other processes may be writing at this moment.
        source = Path(setuptools.__file__).parents[1] / name
        copytree(source, context / "tools" / name, ignore=ignore_patterns("__pycache__"))
    (context / "app.py").write_text(APP)
    (context / "hostile").mkdir()
    (context / "hostile" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return context


@pytest.fixture(scope="module")
def build(engine: docker.DockerClient, context: Path) -> Build:
    """Builds a Dockerfile in the context; the hostile files are added to it."""
    return lambda dockerfile: built(engine, f"{dockerfile}\nCOPY hostile /hostile\n", context)


@pytest.fixture(scope="module")
def guided(build: Build) -> Iterator[Image]:
    """The wheel and the launchers, as in the guide."""
    with build(block(GUIDE, "&& pyinitctl install /usr/local/bin").replace(SHOWN, SLIM)) as image:
        yield image


@pytest.fixture(scope="module")
def wheel_alone(build: Build) -> Iterator[Image]:
    """Without the launchers."""
    with build(WHEEL_ALONE) as image:
        yield image


@pytest.fixture(scope="module")
def wheel_for_base(build: Build, base: str) -> Iterator[str]:
    """The tag of an image with a wheel in /dist, built by the Python of the base."""
    with build(WHEEL_FOR_BASE.format(base=base)) as image:
        yield image.tags[0]


@pytest.fixture
def containers(engine: docker.DockerClient, wheel_alone: Image) -> Iterator[Containers]:
    """Containers of an image that each call names."""
    with Containers(engine, wheel_alone) as containers:
        yield containers


def assert_starts(
    containers: Containers, image: Image, launcher: str, *command: str, python: str = PYTHON, **options: object
) -> None:
    """Check that the application runs, PID 1 is this launcher and reaps orphans, and hostile files do not reach it."""
    end = containers.run(*command, image=image, environment=HOSTILE, **options)
    assert (end.status, end.errors) == (3, ""), end
    assert re.fullmatch(f"{python} -ISBXutf8 {launcher}\n", end.output), end


def assert_compiled(
    containers: Containers,
    image: Image,
    launcher: str,
    python: str = "python3",
    loader: str = "pyinit.loader.Finder",
) -> None:
    """Check that PID 1 compiles only its launcher: its modules come from this loader (default: the archive)."""
    end = containers.run("-v", launcher, "--", "true", image=image, entrypoint=[python, "-ISB"])
    assert end.status == 0 and f"import 'pyinit.main' # <{loader} object" in end.errors, end
    assert not re.findall(r"code object from .*\.py'?$", end.errors, re.MULTILINE)


@pytest.mark.parametrize("words", ["RUN pip install pyinit-pid1\n", "COPY --from=pyinit "])
def test_the_readme_shows_the_lines_of_the_guide(words: str) -> None:
    """All except for those that copy the application."""
    [guided] = [text for text in blocks(GUIDE) if words in text and f"FROM {SHOWN}\n" in text]
    assert set(block(README, words).splitlines()) <= set(guided.splitlines())


@pytest.mark.each_base
@pytest.mark.parametrize(
    ("words", "elsewhere"),
    [("FROM pyinit\n", False), (f"FROM {SHOWN}\nCOPY --from=pyinit ", False), ("unpack_archive", True)],
    ids=["FROM", "COPY --from", "COPY --from, another Python"],
)
def test_the_ways_by_the_image(
    containers: Containers, image: Image, base: str, build: Build, words: str, elsewhere: bool
) -> None:
    """Byte for byte, except for the names of the images. The fragment for another Python is completed."""
    tags = [it.tag for it in BASE_IMAGES]
    other = tags[tags.index(base) - 1]
    shown = block(GUIDE, words)
    if elsewhere:
        around = block(GUIDE, f"FROM {SHOWN}\nCOPY --from=pyinit ").splitlines(keepends=True)
        shown = "".join([around[0], shown, *(line for line in around[1:] if "--from" not in line)])
    names = {SHOWN: other if elsewhere else base, "pyinit": image.tags[0]}
    shown = re.sub(rf"(FROM |--from=)({SHOWN}|pyinit)(?=\s)", lambda found: found[1] + names[found[2]], shown)
    with build(shown) as own:
        assert_starts(containers, own, "/usr/local/bin/pyinit")


@pytest.mark.each_base
def test_pip_installs_a_command_that_starts_like_the_launcher(
    containers: Containers, build: Build, base: str, wheel_for_base: str
) -> None:
    """The line of the guide is enough, on any base: one interpreter, isolated, and nothing to compile."""
    lines = block(GUIDE, "RUN pip install pyinit-pid1").splitlines(keepends=True)
    given = f"FROM {base}\nCOPY tools /tools\nCOPY --from={wheel_for_base} /dist /dist\n"
    shown = "".join(lines[1:]).replace("pip install", f"{PIP} install --find-links=/dist")
    with build(given + shown) as image:
        assert_starts(containers, image, "-Xname=pyinit /usr/local/bin/../share/pyinit/launcher.py")
        assert_compiled(containers, image, "/usr/local/share/pyinit/launcher.py")
        end = containers.run("true", image=image, entrypoint=["pyinit", "-v", "--"])
        assert "two interpreters" not in end.errors, end


def test_an_image_with_tini_becomes_one_with_pyinit(
    containers: Containers, build: Build, base: str, wheel_for_base: str
) -> None:
    """The page shows both: the same application runs, and tini's option is accepted."""
    before = block(FROM_TINI, "apt-get install -y tini")
    with build(before.replace(SHOWN, base)) as image:
        end = containers.run(image=image)
        assert end == Ended(3, "/usr/bin/tini -g\n", ""), end
    after = block(FROM_TINI, "RUN pip install pyinit-pid1")
    changed = set(before.splitlines()) ^ set(after.splitlines())
    assert {line.split()[0] for line in changed} == {"RUN", "ENTRYPOINT"} and len(changed) == 4
    given = f"FROM {base}\nCOPY tools /tools\nCOPY --from={wheel_for_base} /dist /dist\n"
    shown = after.removeprefix(f"FROM {SHOWN}\n").replace("pip install", f"{PIP} install --find-links=/dist")
    with build(given + shown) as image:
        assert_starts(containers, image, "-Xname=pyinit /usr/local/bin/../share/pyinit/launcher.py -g")


@pytest.mark.each_base
def test_if_pip_finds_no_compiler_the_command_names_the_remedy(containers: Containers, build: Build, base: str) -> None:
    """On any clean base: it starts two interpreters, and with -v it names the command that saves one."""
    given = f"FROM {base}\nCOPY tools /tools\nCOPY sdist /source\nCOPY app.py /\n"
    with build(f"{given}RUN {PIP} install --no-build-isolation /source/*.tar.gz\n") as image:
        words = ["pyinit", "-v", "--", "python3", "/app.py"]
        end = containers.run(image=image, entrypoint=words)
        assert end.status == 3 and end.errors.count("pyinitctl install /usr/local/bin/pyinit makes it one\n") == 1, end
        words[:1] = ["sh", "-c", 'pyinitctl install /usr/local/bin/pyinit >&2 && exec pyinit "$@"', "sh"]
        end = containers.run(image=image, entrypoint=words)
        assert end.status == 3 and end.output.endswith(" -ISBXutf8 /usr/local/bin/pyinit -v\n"), end
        assert "two interpreters" not in end.errors, end


def test_the_wheel_with_launchers(containers: Containers, guided: Image) -> None:
    """PID 1 is the launcher from the start: an interpreter that obeys the image would have ended."""
    assert_starts(containers, guided, "/usr/local/bin/pyinit")
    assert_compiled(containers, guided, "/usr/local/bin/pyinit")
    container = containers.start_sleeper(image=guided)
    await_counters(container)
    assert printed(container, "pyinitctl", "health") != ""


@pytest.mark.parametrize("command", [["pyinit"], ["python3", "-m", "pyinit"]])
def test_the_wheel_without_launchers(containers: Containers, command: list[str]) -> None:
    """It works, through an interpreter that obeys the image: a hostile image ends it."""
    words = [*command, "--", "python3", "/app.py"]
    end = containers.run(entrypoint=words)
    assert (end.status, end.errors) == (3, "")
    assert re.fullmatch(f"{PYTHON} -ISBXutf8 -Xname=(/usr/local/bin/)?pyinit .*{PACKAGE}/launcher.py\n", end.output), (
        end
    )
    assert containers.run(entrypoint=words, environment=HOSTILE).status == 88


def test_pip_removes_the_launchers_and_puts_its_own_commands_in_their_place(
    containers: Containers, guided: Image
) -> None:
    """`pip uninstall` leaves nothing behind, not even compiled files. Another installation replaces our launchers."""
    container = containers.start("sleep", "1000", image=guided, entrypoint=[])
    lines = ["head", "-qn1", "/usr/local/bin/pyinit", "/usr/local/bin/pyinitctl"]
    assert printed(container, *lines).count(" -ISBXutf8\n") == 2
    execute(container, "sh", "-c", "pip install --no-index --force-reinstall /tmp/pyinit_pid1-*.whl")
    assert re.fullmatch(f"(#!{PYTHON}\n){{2}}", printed(container, *lines))
    execute(container, "pyinitctl", "install", "/usr/local/bin")
    execute(container, "pip", "uninstall", "--yes", "pyinit-pid1")
    assert execute(container, "find", "/usr", "/opt", "/etc", "-name", "*pyinit*") == ""


def test_a_virtual_environment_is_copied_as_a_whole(containers: Containers, build: Build) -> None:
    """Its interpreter is the launcher's, and the compiled file is still valid after the copy."""
    with build(block(GUIDE, "-m venv /venv").replace(SHOWN, SLIM)) as image:
        assert_starts(containers, image, "/venv/bin/pyinit", python="/venv/bin/python[0-9.]*")
        assert_compiled(containers, image, "/venv/bin/pyinit", "/venv/bin/python")
        # At another path nothing in there works until the launchers are written again.
        [anew] = re.findall(r"^    (/moved/.*)$", GUIDE.read_text(), re.MULTILINE)
        move = f"mv /venv /moved; ! /moved/bin/pyinit -V 2>&- && {anew} >/dev/null && exec /moved/bin/pyinit -- $0 $@"
        python = "/moved/bin/python"
        assert_starts(
            *(containers, image, "/moved/bin/pyinit", python, "/app.py"), python=python, entrypoint=["sh", "-c", move]
        )


@pytest.mark.parametrize("option", ["--copies", "--symlinks"])
def test_each_interpreter_writes_its_own_launchers_and_says_so(containers: Containers, option: str) -> None:
    """Two interpreters with the same package: the base's, and that of an environment with the base's packages."""
    venv = f"mkdir /a /b && python3 -m venv --without-pip --system-site-packages {option} /venv"
    container = containers.start("sleep", "1000")
    execute(container, "sh", "-c", venv)
    own = printed(container, "python3", "-c", "import sys; print(sys.executable)").rstrip()
    for python, folder in ((own, "/a"), ("/venv/bin/python", "/b")):
        said = printed(container, python, "-m", "pyinit.ctl", "install", folder)
        written = [f"wrote {folder}/{name} for {python}, to run {PACKAGE}\n" for name in ("pyinit", "pyinitctl")]
        assert re.fullmatch(f"{''.join(written)}compiled {PACKAGE} into {COMPILED}\n", said)
        lines = printed(container, "head", "-qn1", f"{folder}/pyinit", f"{folder}/pyinitctl")
        assert lines == f"#!{python} -ISBXutf8\n" * 2
    # PID 1 of the container is `sleep`; both launchers run beside it.
    for folder in ("/a", "/b"):
        assert printed(container, f"{folder}/pyinit", "--", "echo", "started") == "started\n"


@pytest.mark.each_base
def test_without_pip_the_wheel_is_unpacked(containers: Containers, build: Build, base: str) -> None:
    """On any base."""
    with build(f"FROM {base}\nCOPY app.py .\n{block(GUIDE, '-m zipfile')}CMD python3 app.py\n") as image:
        assert_starts(containers, image, "/usr/local/bin/pyinit")
        assert_compiled(containers, image, "/usr/local/bin/pyinit")


def test_a_user_without_privileges_runs_what_root_has_installed(containers: Containers, guided: Image) -> None:
    """On a read-only root, without capabilities."""
    assert_starts(containers, guided, "/usr/local/bin/pyinit", user="1000:1000", read_only=True, cap_drop=["ALL"])


def test_a_user_writes_launchers_into_their_home(containers: Containers, build: Build, wheel_alone: Image) -> None:
    """During the build, with a package that belongs to root."""
    with build(f"FROM {wheel_alone.tags[0]}\nUSER app\n") as given:
        shown = block(GUIDE, "FROM company/python").replace("company/python", given.tags[0])
        with build(shown) as image:
            assert_starts(containers, image, "/home/app/.local/bin/pyinit", read_only=True, cap_drop=["ALL"])
            from_cache = "_frozen_importlib_external.SourceFileLoader"  # compiled by pip
            assert_compiled(containers, image, "/home/app/.local/bin/pyinit", loader=from_cache)


@pytest.mark.parametrize(("read_only", "why"), [(False, "Permission denied"), (True, "Read-only file system")])
def test_a_user_is_told_what_could_not_be_written(containers: Containers, read_only: bool, why: str) -> None:
    """If not the compiled file: a warning, and the launcher can still be PID 1. If not the launchers: status 1."""
    options = {"user": "app", "cap_drop": ["ALL"], "read_only": read_only, "tmpfs": {"/tmp": "exec,mode=1777"}}
    command = "pyinitctl install /tmp && exec /tmp/pyinit -- python3 /app.py"
    end = containers.run(command, entrypoint=["sh", "-c"], **options)
    warning = f"pyinitctl: warning: cannot write {PACKAGE}/{COMPILED}: {why}: each start takes longer\n"
    assert end.status == 3 and re.fullmatch(warning, end.errors), end
    written = [f"wrote /tmp/{name} for {PYTHON}, to run {PACKAGE}\n" for name in ("pyinit", "pyinitctl")]
    assert re.fullmatch(f"{''.join(written)}{PYTHON} -ISBXutf8 /tmp/pyinit\n", end.output), end
    end = containers.run("install", "/usr/local/bin", entrypoint=["pyinitctl"], **options)
    assert end == Ended(1, "", f"pyinitctl: cannot write /usr/local/bin/pyinit: {why}\n")
