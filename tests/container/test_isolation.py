"""PID 1 does not trust the image, and withholds nothing of it from the workload."""

import docker
import pytest
from docker.models.images import Image

from testing.containers import Containers, await_output, printed
from testing.images import built

HOSTILE = {
    "PYTHONPATH": "/hostile",
    "PYTHONHOME": "/nowhere",
    "PYTHONINSPECT": "1",
    "PYTHONMALLOC": "debug",
    "PYTHONMALLOCSTATS": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONVERBOSE": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONPROFILEIMPORTTIME": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONUTF8": "nonsense",
    "PYTHONHASHSEED": "nonsense",
    "PYTHONSTARTUP": "/hostile/os.py",
    "PYTHONPLATLIBDIR": "/nowhere",
    "PYTHONTRACEMALLOC": "nonsense",
    "PYTHONINTMAXSTRDIGITS": "1",
}

# Modules that PID 1 would import if it looked for them in the wrong place.
PLANT = """
mkdir /hostile
for name in os posix signal _signal site sitecustomize encodings io pyinit; do
    echo 'raise SystemExit(99)' >/hostile/$name.py
done
cd /hostile
"""

# Each leaves the pid of every interpreter that it reaches in /reached.
TAMPERED = """
FROM {image}
RUN mkdir -m 1777 /reached && python3 -c 'import importlib.util, os, site; \
    folder = site.getsitepackages()[0]; \
    os.makedirs(folder, exist_ok=True); \
    spec = importlib.util.find_spec("sitecustomize"); \
    customize = spec.origin if spec else folder + "/sitecustomize.py"; \
    open(customize, "w").write("import os; open(f\\"/reached/sitecustomize-{{os.getpid()}}\\", \\"w\\")\\n"); \
    open(folder + "/reach.pth", "w").write("import os; open(f\\"/reached/pth-{{os.getpid()}}\\", \\"w\\")\\n")'
"""

WORDS = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "$HOME",
    "`id`",
    "*",
    "new\nline",
    "\t",
    "ünïcødé",
    "-v",
    "--",
    "--help",
    "\\",
    "=",
    "💥",
]


@pytest.mark.each_base
def test_hostile_variable_reaches_the_workload_alone(containers: Containers) -> None:
    """No PYTHON* variable changes pyinit. The workload gets it unchanged."""
    each = f'{PLANT}for it; do env "$it" pyinit -- sh -c "echo \\$${{it%%=*}}; exit 3"; echo $?; done'
    end = containers.run("-c", each, "sh", *(f"{name}={value}" for name, value in HOSTILE.items()), entrypoint=["sh"])
    assert (end.status, end.output, end.errors) == (0, "".join(f"{value}\n3\n" for value in HOSTILE.values()), "")


@pytest.mark.each_base
def test_all_hostile_variables_together(containers: Containers) -> None:
    """As above, at once and from the start of PID 1."""
    command = f"{PLANT}exec pyinit -- sh -c 'exit 3'"
    end = containers.run("-c", command, entrypoint=["sh"], environment=HOSTILE)
    assert (end.status, end.output, end.errors) == (3, "", "")


@pytest.mark.each_base
def test_site_customization_reaches_the_workload_alone(
    engine: docker.DockerClient, containers: Containers, image: Image
) -> None:
    """A sitecustomize.py and a .pth file in the image are executed by the workload's interpreter, not by PID 1's."""
    with built(engine, TAMPERED.format(image=image.tags[0])) as tampered:
        look = "import os; print(os.getpid(), *sorted(os.listdir('/reached')))"
        end = containers.run("python3", "-c", look, image=tampered)
    pid, *reached = end.output.split()
    assert reached == [f"pth-{pid}", f"sitecustomize-{pid}"], end


@pytest.mark.each_base
def test_arguments_are_untouched(containers: Containers) -> None:
    """Whatever they contain, even options of pyinit."""
    end = containers.run("python3", "-c", "import sys; print(ascii(sys.argv[1:]))", *WORDS)
    assert end.output == f"{WORDS!a}\n", end.errors


@pytest.mark.each_base
@pytest.mark.parametrize(
    "environment",
    [{}, {"LC_ALL": "C"}, {"LC_CTYPE": "POSIX"}, {"LANG": "C"}, {"ODD": "ünï\ncødé =", "EMPTY": ""}],
    ids=str,
)
def test_environment_is_untouched(containers: Containers, environment: dict[str, str]) -> None:
    """Byte for byte and in the same order as without an init, whatever locale the interpreter finds."""
    workload = ("cat", "/proc/self/environ")
    expected = containers.run(*workload, entrypoint=[], hostname="same", environment=environment)
    end = containers.run(*workload, hostname="same", environment=environment)
    assert (end.output, end.errors) == (expected.output, "")


def test_what_a_process_inherits_is_untouched(containers: Containers) -> None:
    """Limits and other properties are those of a container without an init."""
    limits = [docker.types.Ulimit(name="nofile", soft=123, hard=456), docker.types.Ulimit(name="core", soft=0, hard=0)]
    files = "self/limits self/cgroup self/oom_score_adj self/timerslack_ns self/attr/current"
    workload = ("sh", "-c", f"cd /proc && head -n 99 {files} 2>&1; true")
    expected = containers.run(*workload, entrypoint=[], ulimits=limits, oom_score_adj=500, cgroupns="private")
    end = containers.run(*workload, ulimits=limits, oom_score_adj=500, cgroupns="private")
    assert end.output == expected.output


def test_workload_starts_in_the_working_directory(containers: Containers) -> None:
    """PID 1 leaves it."""
    container = containers.start("sh", "-c", "pwd; exec sleep 100", working_dir="/var/tmp")
    assert await_output(container, "\n") == "/var/tmp\n"
    assert printed(container, "readlink", "/proc/1/cwd") == "/\n"
