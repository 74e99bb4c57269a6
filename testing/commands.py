"""The commands on the pages of the documentation: what stands there to be typed."""

import re
from pathlib import Path

from testing import ROOT

GENERATED = ("api.md", "benchmarks.md", "seen.md")
PAGES = [ROOT / "README.md", *(it for it in sorted((ROOT / "docs").glob("*.md")) if it.name not in GENERATED)]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Each line that is to be typed: in an indented block, or one that is fenced as `console`.

    Where a block has prompts, the lines without one are output. A comment after two spaces is left out, and so is what
    the test of a tutorial runs.
    """
    text = page.read_text()
    tested = page.name in TUTORIALS
    blocks = [found[2] for found in FENCE.finditer(text) if found[1] == "console" and not tested]
    indented = re.findall(r"(?<=\n\n)(?: {4}\S.*\n)(?: {4}.*\n)*", FENCE.sub("", text))
    found = []
    for block in (*blocks, *(re.sub(r"^ {4}", "", it, flags=re.MULTILINE) for it in indented)):
        lines = [line for line in block.splitlines() if line]
        if any(line.startswith("$ ") for line in lines):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += [re.split(r" {2,}#", line)[0].rstrip() for line in lines]
    return found


CONTAINER, SYNOPSIS, SHOWN = "in a container", "its options are those of --help", "not a command"

HOW = {
    "make demo": "container/test_demo.py",
    "make test TESTS=": "no: it is how tests are run",
    "make test": "no: it is how tests are run",
    "make soak": "no: it takes 15 minutes or more, and is run before a release",
    "PYINIT_WRITE_WRAPPERS=1 make test": "no: it writes the page",
    ".venv/bin/python -m bench.ends": "namespace/test_what_happens.py",
    "docker exec app pyinitctl": CONTAINER,
    "docker exec --user 0 app pyinitctl": CONTAINER,
    "docker exec --user 0 app pip install": "container/test_install.py",
    "sudo python3 -m pyinit.ctl zombies --host": "container/test_host.py",
    "sudo python3 -m pyinit.ctl host": "container/test_host.py",
    "sudo pyinitctl host": "container/test_host.py",
    "pyinitctl host --prometheus --output": "container/test_metrics.py",
    "cp deploy/metrics/": "machine/test_metrics_timer.py",
    "mkdir -p /var/lib/prometheus": "machine/test_metrics_timer.py",
    "systemctl enable": "machine/test_metrics_timer.py",
    "docker compose --file deploy/metrics/": "no: it pulls images; test_metrics.py runs the same programs",
    "systemd-cat --identifier=app": "machine/test_after_the_end.py",
    "journalctl --identifier=app": "machine/test_after_the_end.py",
    "pyinitctl status [": SYNOPSIS,
    "pyinitctl zombies [": SYNOPSIS,
    "pyinitctl clear [": SYNOPSIS,
    "pyinitctl tree [": SYNOPSIS,
    "pyinitctl health [": SYNOPSIS,
    "pyinitctl host [": SYNOPSIS,
    "python3 -m pyinit.ctl install PATH [": SYNOPSIS,
    "docker build --build-arg BASE_IMAGE=": "container/test_image.py",
    "docker build --tag pyinit .": "container/test_image.py",
    "docker build --tag my-gunicorn": "container/applications/test_gunicorn.py",
    "docker run --rm --publish 8000:8000 my-gunicorn": "container/applications/test_gunicorn.py",
    "docker run -e PYINIT_SESSION=1": "container/applications/test_gunicorn.py",
    "docker kill -s USR2 app": "container/applications/test_gunicorn.py",
    "docker exec app sh -c 'kill -": "container/applications/test_gunicorn.py",
    "ps -o args= -p 1": "container/test_install.py",
    "python3 -m pip wheel": "container/test_install.py",
    "CC=false python3 -m pip wheel": "container/test_install.py",
    "/moved/bin/python -m": "container/test_install.py",
    "/venv/bin/python -m": "container/test_install.py",
    "python3 -m pyinit.ctl install --man": "unit/test_share.py",
    "python3 -m pyinit.ctl install --single-file /usr/local/bin/docker-init": "container/test_docker_init.py",
    "dockerd --init-path=": "container/test_docker_init.py",
    "python3 -m pyinit.ctl install --single-file /usr/local/bin/podman-init": "container/test_podman_init.py",
    "systemd-socket-activate": "namespace/test_socket_activation.py",
    "pip install kubernetes-validate": "no: the set-up has it",
    "kubernetes-validate --strict": "container/test_kubernetes.py",
    "docker run --rm IMAGE -v -- PROGRAM": CONTAINER,
    "docker run --rm -e PYINIT_VERBOSITY=2 IMAGE": CONTAINER,
    "docker run -d --name pod": CONTAINER,
    "docker run -d --pid=container:pod": CONTAINER,
    "pyinit --drain-timeout=5s": CONTAINER,
    "PYINIT_STOP_TIMOUT=5 pyinit": CONTAINER,
    "pyinit [OPTION]...": SHOWN,
    "pyinit: ": SHOWN,
    "pyinitctl: ": SHOWN,
    "healthy: ": SHOWN,
    "2 containers, ": SHOWN,
    "{container": SHOWN,
    "python3 worker.py (pid 12) has": SHOWN,
    "terminationGracePeriodSeconds  >": SHOWN,
    "                           30  >": SHOWN,
    "grace period  >": SHOWN,
    "env:": SHOWN,
    "  - ": SHOWN,
    "terminationMessagePath: ": SHOWN,
    '{"time": ': SHOWN,
    "[containers]": SHOWN,
    "init_path = ": SHOWN,
}
"""The beginning of a command, and how it is tested: one of the above, the test that runs it, or why none does."""

TUTORIALS = ("zombies.md", "shutdown.md")
"""Pages whose `console` blocks tests.container.test_tutorial runs, output included."""


def how(command: str) -> str | None:
    """How a command is tested; None if the table has none that begins so."""
    return next((HOW[start] for start in sorted(HOW, key=len, reverse=True) if command.startswith(start)), None)
