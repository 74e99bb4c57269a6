"""deploy/metrics: the files are valid, and Debian's Prometheus and node exporter show what `pyinitctl host` writes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import docker
import pytest
import yaml
from docker.models.images import Image
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from testing import ROOT
from testing.containers import Containers, await_output
from testing.podman import private_podman
from testing.prometheus import listening, promtool
from testing.waiting import eventually

from .test_host import CTL

FOLDER = ROOT / "deploy" / "metrics"
DASHBOARD = FOLDER / "grafana" / "pyinit.json"

LEAK = """
import signal, subprocess, time
signal.signal(signal.SIGUSR1, lambda *_: None)
kept = []
print("ready", flush=True)
while True:
    kept.append(subprocess.Popen(["true"]))
    time.sleep(0.5)
"""

# What remains when the workload has ended ignores TERM.
STRAGGLER = "(trap '' TERM; echo ready; while :; do sleep 1; done) & sleep 1000"


class Monitoring:
    """A Prometheus and a node exporter, with the files of deploy/metrics."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        textfile = folder / "textfile"
        textfile.mkdir()
        self._file = textfile / "pyinit.prom"
        collect = ("--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={textfile}")
        exporter = stack.enter_context(listening(folder / "exporter.log", "prometheus-node-exporter", *collect))
        config = (FOLDER / "prometheus.yml").read_text()
        assert "node-exporter:9100" in config
        config = config.replace("node-exporter:9100", exporter).replace("interval: 15s", "interval: 2s")
        (folder / "prometheus.yml").write_text(config)
        # What takes minutes takes seconds.
        (folder / "rules.yml").write_text(re.sub(r"\b(\d+)m\b", r"\1s", (FOLDER / "rules.yml").read_text()))
        store = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
        self._address = stack.enter_context(listening(folder / "prometheus.log", "prometheus", *store))

    def write(self) -> None:
        """Write the file, as the timer does."""
        command = [*CTL, "host", "--prometheus", "--output", str(self._file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers now, after another look at the containers; it refuses what is not PromQL."""
        self.write()
        address = f"http://{self._address}/api/v1/query?{urlencode({'query': expression})}"
        try:
            with urlopen(address, timeout=60) as response:
                found: list[dict[str, Any]] = json.load(response)["data"]["result"]
        except HTTPError as error:
            if error.code != 503:  # it is not ready yet
                raise
            return []
        return found

    def await_sample(self, expression: str) -> dict[str, str]:
        """The labels of the first sample that it answers, once there is one."""
        labels: dict[str, str] = eventually(lambda: self.query(expression), expression)[0]["metric"]
        return labels

    def await_alert(self, name: str, container: str | None) -> dict[str, str]:
        """The labels of the alert, once it fires for this container."""
        return self.await_sample(f'ALERTS{{alertname="{name}",alertstate="firing",container="{container}"}}')


@pytest.fixture
def monitoring(tmp_path: Path) -> Iterator[Monitoring]:
    """Both servers, on free ports."""
    with ExitStack() as stack:
        yield Monitoring(tmp_path, stack)


def test_rules_alert_for_what_they_should_and_for_nothing_else() -> None:
    """As tests.yml says, which promtool runs; the files are what Prometheus takes."""
    for command in (
        ("check", "rules", "--lint=all", "--lint-fatal", FOLDER / "rules.yml"),
        ("check", "config", "--lint=all", "--lint-fatal", FOLDER / "prometheus.yml"),
        ("test", "rules", FOLDER / "tests.yml"),
    ):
        done = promtool(*command)
        assert done.returncode == 0, done.stdout


def test_every_alert_is_tested() -> None:
    """One that fires, and one that does not."""
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"][0]["rules"]
    tests = [
        one for test in yaml.safe_load((FOLDER / "tests.yml").read_text())["tests"] for one in test["alert_rule_test"]
    ]
    for fires in (True, False):
        assert {one["alert"] for one in rules} == {one["alertname"] for one in tests if fires == ("exp_alerts" in one)}


def kept(written: Any, read: Any) -> bool:
    """Is all that was written in what was read, which has defaults besides?"""
    if isinstance(written, dict):
        return isinstance(read, dict) and all(name in read and kept(written[name], read[name]) for name in written)
    if isinstance(written, list):
        return isinstance(read, list) and len(written) == len(read) and all(map(kept, written, read))
    return bool(written == read)


def as_grafana_reads(dashboard: dict[str, Any]) -> Any:
    """The dashboard by the types of Grafana's schema, which drop what it does not know."""
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def test_dashboard_has_only_fields_of_grafanas_schema() -> None:
    """Of dashboards, panels, their options, variables and queries for Prometheus."""
    dashboard = json.loads(DASHBOARD.read_text())
    assert kept(dashboard, as_grafana_reads(dashboard))
    dashboard["panels"][0]["targets"][0]["expression"] = "misspelt"
    assert not kept(dashboard, as_grafana_reads(dashboard))


def test_compose_file_mounts_what_is_there() -> None:
    """Each file of this folder where the program looks for it; and every image has its version."""
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    mounted = [mount for service in services.values() for mount in service["volumes"] if mount.startswith("./")]
    assert all((FOLDER / mount.split(":")[0]).is_file() for mount in mounted)
    [provider] = yaml.safe_load((FOLDER / "grafana" / "dashboards.yaml").read_text())["providers"]
    assert f"./grafana/{DASHBOARD.name}:{provider['options']['path']}/{DASHBOARD.name}:ro" in mounted
    assert all(re.search(r":v?\d+\.\d+\.\d+$", service["image"]) for service in services.values())
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema=vendor.compose-spec",
        str(FOLDER / "compose.yaml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_alerts_name_the_container_and_the_dashboard_shows_it(containers: Containers, monitoring: Monitoring) -> None:
    """Samples arrive from real containers: one that leaks zombies, the same without pyinit, and one that drains."""
    leaking = containers.start("python3", "-c", LEAK)
    bare = containers.start("python3", "-c", LEAK, entrypoint=[])
    draining = containers.start("sh", "-c", STRAGGLER, environment={"PYINIT_DRAIN_TIMEOUT": "1000"})
    for container in (leaking, bare, draining):
        await_output(container, "ready")
    leaking.kill("SIGUSR1")
    draining.kill("SIGTERM")

    labels = monitoring.await_sample(f'pyinit_zombies{{container="{leaking.name}"}} > 0')
    assert labels["image"] and labels["job"] == "node"
    assert monitoring.await_alert("PyinitMissing", bare.name)["container"] == bare.name
    assert monitoring.await_alert("PyinitDrainsLong", draining.name)["stage"] == "draining"
    assert monitoring.await_alert("PyinitZombiesGrow", leaking.name)["image"] == labels["image"]
    assert not monitoring.query(f'ALERTS{{alertname="PyinitMissing",container="{leaking.name}"}}')

    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "30s")
            monitoring.await_sample(re.sub(r"\$(instance|container)", ".*", expression))


def test_daemonset_writes_the_file(
    engine: docker.DockerClient, image: Image, containers: Containers, tmp_path: Path
) -> None:
    """As podman plays it, which is no kubelet: it sees a container of another engine on the same node."""
    sleeper = containers.start_sleeper()
    folders = {}
    manifest = yaml.safe_load((FOLDER / "daemonset.yaml").read_text())
    spec = manifest["spec"]["template"]["spec"]
    for volume in spec["volumes"]:  # not those of this machine
        folders[volume["name"]] = tmp_path / volume["name"]
        folders[volume["name"]].mkdir()
        volume["hostPath"]["path"] = str(folders[volume["name"]])
    with private_podman() as podman:
        [container] = spec["containers"]
        container["image"] = podman.load(engine, image.tags[0])
        (tmp_path / "daemonset.yaml").write_text(yaml.safe_dump(manifest))
        podman("kube", "play", "--network=none", str(tmp_path / "daemonset.yaml"))
        file = folders["textfile"] / "pyinit.prom"
        label = f'container="{sleeper.short_id}"'  # no engine can be asked for its name
        eventually(
            lambda: file.read_text() if file.exists() else podman("ps", "--all"),
            holds=lambda written: re.search(rf"^pyinit_orphans_reaped_total{{{label}", written, re.MULTILINE),
        )


def test_daemonset_is_valid() -> None:
    """By the schema of Kubernetes, in which no field may be unknown."""
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", str(FOLDER / "daemonset.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "passed for resource daemonset/" in done.stdout, done.stdout + done.stderr
