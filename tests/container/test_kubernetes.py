"""deploy/kubernetes: the files are valid by the published schema, and work with `podman kube play`."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import pytest
import yaml

from testing import ROOT
from testing.base_images import SLIM
from testing.containers import LISTER, Process, listed
from testing.podman import Podman, private_podman
from testing.waiting import eventually

from .conftest import Images
from .test_shutdown import LAUNCHER, SAVER, STRANGER, STUBBORN

FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(path.name for path in FOLDER.glob("*.yaml"))
PLAIN = "deployment.yaml"
SHARED = "shared-processes.yaml"

of_each = pytest.mark.parametrize("manifest", MANIFESTS)

# Three orphans that end and one that does not. Their parents, shells, have exited.
ORPHANS = "for name in 1 2 3; do (sleep 0.1 &); done; (sleep 555 &); exec sleep 666"

# A program that does not wait for its child.
NEGLECTS = "sleep 0.1 & exec sleep 666"


LONGER = {"PYINIT_DRAIN_TIMEOUT": "20"}
"""For a loaded machine, within the grace period."""


class Pod:
    """The pod of a manifest, with an image and programs of ours."""

    def __init__(self, podman: Podman, file: Path, manifest: dict[str, Any]) -> None:
        self._podman = podman
        spec = manifest["spec"]["template"]["spec"]
        self._app = spec["containers"][0]
        self.grace_period = spec["terminationGracePeriodSeconds"]
        file.write_text(yaml.safe_dump(manifest))
        # No network: podman would change the packet filter for one.
        [pod] = re.findall(r"^Pod:\n(\w+)$", podman("kube", "play", "--network=none", str(file)), re.MULTILINE)
        self._name = podman("pod", "inspect", "--format={{.Name}}", pod).strip()

    def run(self, *command: str, container: str = "app") -> "subprocess.CompletedProcess[str]":
        """Run a command in a container, as `kubectl exec` and the probes do."""
        return self._podman.run("exec", f"{self._name}-{container}", *command)

    def execute(self, *command: str) -> str:
        """The output of a command in the container of the workload; fails if the command does."""
        done = self.run(*command)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def probe(self, kind: str, container: str = "app") -> tuple[int, str]:
        """The status and the output of a probe of the workload, which may be run in another container."""
        done = self.run(*self._app[kind]["exec"]["command"], container=container)
        return done.returncode, done.stdout

    def logs(self, container: str = "app") -> str:
        """The output of a container."""
        return self._podman("logs", f"{self._name}-{container}")

    def await_ready(self, number: int, container: str = "app") -> None:
        """Return when `number` processes of a container have said that they are ready."""
        eventually(lambda: self.logs(container), holds=lambda said: said.count(": ready\n") == number)

    def processes(self) -> list[Process]:
        """The processes in the process namespace of the workload, without the lister."""
        found = listed(self.execute("python3", "-B", "-c", LISTER))
        return [process for process in found if not process.command.startswith("python3 -B -c")]

    def process(self, command: str) -> Process:
        """Wait for a process with this command; return it."""

        def look() -> list[Process]:
            return [process for process in self.processes() if process.command == command]

        [process] = eventually(look, holds=lambda found: len(found) == 1)
        return process

    def state(self, container: str = "app") -> str:
        """The state of a container and its exit status."""
        template = "--format={{.State.Status}} {{.State.ExitCode}}"
        return self._podman("inspect", template, f"{self._name}-{container}").strip()

    def stop_container(self, name: str) -> None:
        """Send TERM to one container, and KILL after the grace period."""
        self._podman("stop", f"--time={self.grace_period}", f"{self._name}-{name}")

    def stop(self) -> None:
        """Do the same with all containers at once.

        This includes the pause container, which the kubelet stops last. Not to be used if that is PID 1 of all.
        """
        self._podman("pod", "stop", f"--time={self.grace_period}", self._name)

    def kill(self) -> None:
        """Kill and remove all containers, with the pause container."""
        self._podman("pod", "rm", "--force", "--time=0", self._name)


class Pods:
    """Makes pods, and ends them."""

    def __init__(self, podman: Podman, image: str, folder: Path) -> None:
        self._podman = podman
        self._image = image
        self._folder = folder
        self._made: list[Pod] = []

    def play(self, name: str, *arguments: str, sidecar: Sequence[str] = ("sleep", "1000"), **environment: str) -> Pod:
        """Start the pod of a manifest: pyinit runs `arguments`, and the sidecar, if there is one, its own."""
        manifest = yaml.safe_load((FOLDER / name).read_text())
        manifest["metadata"]["name"] = f"app{uuid4().hex[:8]}"
        manifest["spec"]["replicas"] = 1
        spec = manifest["spec"]["template"]["spec"]
        app, *others = spec["containers"]
        # podman 4.3 fails on a text that begins with a line break.
        app["args"] = [argument.lstrip() for argument in arguments]
        app["env"] = [one for one in app["env"] if one["name"] not in environment]
        app["env"] += [{"name": name, "value": value} for name, value in environment.items()]
        # The kubelet mounts such a file, writable for everyone.
        self.termination_message.write_text("")
        self.termination_message.chmod(0o666)
        spec["volumes"].append({"name": "message", "hostPath": {"path": str(self.termination_message), "type": "File"}})
        app["volumeMounts"].append({"name": "message", "mountPath": app["terminationMessagePath"]})
        for other in others:
            other["command"] = [argument.lstrip() for argument in sidecar]
        for container in spec["containers"]:
            container["image"] = self._image
        self._made.append(Pod(self._podman, self._folder / "manifest.yaml", manifest))
        return self._made[-1]

    @property
    def termination_message(self) -> Path:
        """The file that the kubelet would read."""
        return self._folder / "termination-log"

    def kill(self) -> None:
        """End all that were made."""
        while self._made:
            self._made.pop().kill()


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """A private podman. If there is none, the test fails with one line that says why."""
    try:
        with private_podman() as podman:
            yield podman
    except SystemExit as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient, podman: Podman, images: Images) -> str:
    """podman's name for the image of the project's Dockerfile."""
    return podman.load(engine, images(SLIM).tags[0])


@pytest.fixture
def pods(podman: Podman, image: str, tmp_path: Path) -> Iterator[Pods]:
    """Makes pods of the image under test."""
    pods = Pods(podman, image, tmp_path)
    yield pods
    pods.kill()


def validate(file: Path) -> "subprocess.CompletedProcess[str]":
    """Check a file by the published schema; unknown fields are errors."""
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", str(file)]
    return subprocess.run(command, capture_output=True, text=True)


@of_each
def test_manifest_is_valid(manifest: str) -> None:
    """By the newest schema of Kubernetes that is available."""
    done = validate(FOLDER / manifest)
    assert done.returncode == 0, done.stdout + done.stderr
    # A kind without a schema would only be a warning.
    assert re.fullmatch(r"INFO .* passed for resource deployment/.*\n", done.stdout), done.stdout


def test_manifest_with_a_misspelt_field_is_not_valid(tmp_path: Path) -> None:
    """This checks the test above. The API server would accept the file, and drop the field."""
    misspelt = tmp_path / "misspelt.yaml"
    text = (FOLDER / PLAIN).read_text()
    misspelt.write_text(text.replace("terminationGracePeriodSeconds:", "terminationGracePeriod:"))
    done = validate(misspelt)
    assert done.returncode == 1 and "'terminationGracePeriod' was unexpected" in done.stdout, done.stdout


@of_each
def test_grace_period_is_long_enough(manifest: str) -> None:
    """It is longer than the sum in docs/shutdown.md, which includes preStop."""
    spec = yaml.safe_load((FOLDER / manifest).read_text())["spec"]["template"]["spec"]
    app = spec["containers"][0]
    environment = {one["name"]: one["value"] for one in app["env"]}
    sleep, seconds = app["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    sum_of_all = int(seconds) + sum(int(environment[f"PYINIT_{name}_TIMEOUT"]) for name in ("STOP", "DRAIN")) + 2
    assert spec["terminationGracePeriodSeconds"] > sum_of_all


def test_workload_has_no_privileges(pods: Pods) -> None:
    """It is as restricted as the manifest says, and pyinit needs no more to start it."""
    pod = pods.play(PLAIN, "sleep", "666")
    workload = pod.process("sleep 666")
    status = pod.execute("cat", f"/proc/{workload.pid}/status")
    for line in ("Uid:\t1000\t1000\t1000\t1000", f"CapBnd:\t{0:016x}", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert f"\n{line}\n" in status
    assert "Read-only file system" in pod.run("touch", "/root-file").stdout
    pod.execute("touch", "/tmp/file")


def test_orphans_are_those_of_pyinit_in_a_shared_process_namespace(pods: Pods) -> None:
    """PID 1 is the pause container. pyinit still inherits the orphans of its own workload, and reaps them."""
    pod = pods.play(SHARED, "sh", "-c", ORPHANS)
    workload = pod.process("sleep 666")
    orphan = pod.process("sleep 555")
    init = workload.parent
    assert init != 1 and orphan.parent == init
    [first, *_] = seen = eventually(pod.processes, holds=lambda seen: len(seen) == 5)
    assert "catatonit" in first.command and "Z" not in {process.state for process in seen}, seen

    counters = partial(pod.run, "pyinitctl", "status", "--json", f"--pid={init}")
    eventually(counters, holds=lambda done: '"orphans_reaped": 3' in done.stdout)


def test_sidecar_gets_no_signal_when_the_container_of_the_workload_is_stopped(pods: Pods) -> None:
    """It belongs to another container, even if its user is the same. The workload's own children are asked."""
    pod = pods.play(SHARED, "sh", "-c", LAUNCHER, SAVER, sidecar=["python3", "-c", STRANGER], **LONGER)
    pod.await_ready(3)
    pod.await_ready(1, "sidecar")
    pod.stop_container("app")
    assert pod.state() == "exited 143"
    assert pod.logs().count(": saved\n") == 3
    assert pod.logs("sidecar") == "stranger: ready\n"
    assert pod.state("sidecar") == "running 0"


def test_children_of_the_workload_save_their_work_when_the_pod_is_stopped(pods: Pods) -> None:
    """They need two seconds more than the workload itself, and have them."""
    pod = pods.play(PLAIN, "sh", "-c", LAUNCHER, SAVER, **LONGER)
    pod.await_ready(3)
    pod.stop()
    assert pod.state() == "exited 143"
    assert pod.logs().count(": saved\n") == 3


def test_workload_that_ignores_term_ends_before_the_grace_period_and_leaves_a_message(pods: Pods) -> None:
    """pyinit kills it, and says why where Kubernetes reads it. The kubelet would kill it without a message."""
    pod = pods.play(PLAIN, "sh", "-c", STUBBORN, PYINIT_STOP_TIMEOUT="1")
    pod.await_ready(1)
    pod.stop()
    assert pod.state() == "exited 137"
    line = (
        r"pyinit: sh \(pid \d+\) was killed by SIGKILL after .*: "
        r"it did not exit within (\d+\.\d)s of SIGTERM from outside the container; .*\n"
    )
    found = re.fullmatch(line, pods.termination_message.read_text())
    assert found and float(found[1]) < pod.grace_period, pods.termination_message.read_text()


@of_each
def test_probes_fail_when_the_program_is_stopped_and_not_for_zombies(pods: Pods, manifest: str) -> None:
    """The line says whether it is stopped or has zombies."""
    pod = pods.play(manifest, "sh", "-c", NEGLECTS)
    workload = pod.process("sleep 666")
    who = f"sh (pid {workload.pid})"
    for kind in ("livenessProbe", "readinessProbe"):
        status, said = eventually(partial(pod.probe, kind), holds=lambda result: "1 zombie" in result[1])
        assert status == 0 and said.startswith(f"healthy: {who} has been running"), said
    pod.execute("sh", "-c", f"kill -STOP {workload.pid}")
    for kind in ("livenessProbe", "readinessProbe"):
        result = eventually(partial(pod.probe, kind), holds=lambda result: result[0] != 0)
        assert result == (1, f"unhealthy: {who} is stopped\n")


def test_probe_looks_at_the_pyinit_of_its_own_container(pods: Pods) -> None:
    """Though all containers see each other's processes, and the sidecar runs pyinit, too."""
    pod = pods.play(SHARED, "sleep", "666", sidecar=["pyinit", "--", "sleep", "777"])
    for container, command in ("app", "sleep 666"), ("sidecar", "sleep 777"):
        workload = pod.process(command)
        probe = partial(pod.probe, "livenessProbe", container)
        _, said = eventually(probe, holds=lambda result: result[0] == 0)
        assert said.startswith(f"healthy: sleep (pid {workload.pid}) has been running"), said
