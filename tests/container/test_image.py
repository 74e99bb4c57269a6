"""The image that the Dockerfile makes."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import testinfra  # type: ignore[import-untyped]
from docker.models.containers import Container
from docker.models.images import Image

from testing import ROOT
from testing.containers import Containers, execute, processes
from testing.images import built
from testing.waiting import eventually

pytestmark = pytest.mark.each_base

SETTLED_IN_ITS_WAYS = """
FROM {base}
ENV PYTHONOPTIMIZE=2 PYTHONSAFEPATH=1 PYTHONINSPECT=1 PYTHONPYCACHEPREFIX=/tmp/elsewhere
USER 1000
"""

COMPILED = """
import importlib.util, pathlib, sys, tarfile, types
folder = pathlib.Path("/usr/local/lib/pyinit")
sys.path.insert(0, str(folder))
[path] = folder.glob("pyinit/compiled.*.zip")
for name in tarfile.open(folder / "sources.tar.bz2").getnames():
    if name.endswith(".py") and name not in ("pyinit/__init__.py", "pyinit/launcher.py", "pyinit/packed.py"):
        spec = importlib.util.find_spec(name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
        code = spec.loader.get_code(spec.name)
        if not spec.origin.startswith(str(path)) or not isinstance(code, types.CodeType) or code.co_filename != name:
            print(name, "is not compiled")
print(*sorted(it.name for it in folder.glob("pyinit/*") if it != path))
"""


@pytest.fixture(scope="module")
def sleeper(engine: docker.DockerClient, image: Image) -> Iterator[Container]:
    """A container to look into."""
    with Containers(engine, image) as containers:
        yield containers.start_sleeper()


def test_layers_stay_under_420_kilobytes(engine: docker.DockerClient, image: Image, base: str) -> None:
    """All layers together that the image adds to its base."""
    size, base_size = (sum(layer["Size"] for layer in it.history()) for it in (image, engine.images.get(base)))
    assert 0 < size - base_size < 420_000


def test_entrypoint_takes_any_command_for_the_workload(image: Image) -> None:
    """It ends with `--`, so that no word of the command is taken for an option."""
    assert image.attrs["Config"]["Entrypoint"] == ["pyinit", "--"]


def test_the_image_has_labels(image: Image) -> None:
    """Those of the Open Container Initiative."""
    labels = image.attrs["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "pyinit"
    assert labels["org.opencontainers.image.description"] == "A container's PID 1 in Python"
    assert labels["org.opencontainers.image.licenses"] == "MIT"


def test_pid_1_is_pyinit_and_the_workload_its_child(sleeper: Container) -> None:
    """There is no process between the two: no shell, no second interpreter."""
    init, workload = eventually(lambda: processes(sleeper), holds=lambda seen: seen[-1].command == "sleep 1000")
    assert init.pid == 1 and " /usr/local/bin/pyinit -- sh -c " in init.command, init
    assert workload.parent == 1


@pytest.mark.parametrize("name", ["pyinit", "pyinitctl"])
def test_launcher_is_an_executable_script_for_the_interpreter_of_the_image(sleeper: Container, name: str) -> None:
    """All users may run it. Its first line names the image's own interpreter, with the options that isolate."""
    host = testinfra.get_host(f"docker://{sleeper.id}")
    launcher = host.file(f"/usr/local/bin/{name}")
    assert (launcher.is_file, launcher.user, launcher.mode) == (True, "root", 0o755)
    interpreter = host.check_output("python3 -c 'import sys; print(sys.executable)'")
    assert launcher.content_string.splitlines()[0] == f"#!{interpreter} -ISBXutf8"


@pytest.mark.parametrize("name", ["pyinit", "pyinitctl"])
def test_launcher_prints_its_version(sleeper: Container, name: str) -> None:
    """`--version` works inside the image, beside the running PID 1."""
    host = testinfra.get_host(f"docker://{sleeper.id}")
    assert re.fullmatch(rf"{name} version \d+\.\d+\S*\n", host.check_output(f"{name} --version") + "\n")


def test_settings_of_the_base_and_of_the_checkout_do_not_matter(
    engine: docker.DockerClient, containers: Containers, base: str, tmp_path: Path
) -> None:
    """The base has a user and PYTHON* variables, and only the owner may read the checkout."""
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(ROOT / name, tmp_path)
    # What other processes are writing there at this moment may be gone before it is copied.
    being_written = shutil.ignore_patterns("__pycache__", "compiled.*.zip", ".compiled.*")
    shutil.copytree(ROOT / "pyinit", tmp_path / "pyinit", ignore=being_written)
    for file in [tmp_path, *tmp_path.rglob("*")]:
        file.chmod(file.stat().st_mode & 0o700)
    with (
        built(engine, SETTLED_IN_ITS_WAYS.format(base=base)) as settled,
        built(engine, folder=tmp_path, arguments={"BASE_IMAGE": settled.tags[0]}) as image,
        containers,
    ):
        end = containers.run("sh", "-c", "id -u; ls /usr/local/lib/pyinit/pyinit; exit 3", image=image)
    assert (end.status, end.errors) == (3, "")
    assert end.output.startswith("1000\n") and "\ncompiled.cpython-3" in end.output


def test_files_cannot_be_written_by_others(sleeper: Container) -> None:
    """The files that PID 1 executes belong to root, and only root may change them."""
    assert (
        execute(sleeper, "find", "/usr/local/lib/pyinit", "(", "!", "-user", "root", "-o", "-perm", "/022", ")") == ""
    )


def test_every_module_is_compiled(sleeper: Container) -> None:
    """For this interpreter, into the archive. The sources are removed."""
    left = execute(sleeper, "python3", "-Bc", COMPILED)
    assert left == "__init__.py launcher.py packed.py\n"


def test_nothing_is_compiled_at_the_start(containers: Containers) -> None:
    """PID 1 imports itself from the compiled file. The launcher is the only source that it reads."""
    end = containers.run("-v", "/usr/local/bin/pyinit", "--", "true", entrypoint=["python3", "-ISB"])
    assert end.status == 0 and "import 'pyinit.main' # <pyinit.loader.Finder object" in end.errors, end.errors
    assert not re.findall(r"code object from .*\.py'?$", end.errors, re.MULTILINE)
