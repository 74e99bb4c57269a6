"""Commands on pages of the documentation that no other test runs, as they stand there: see testing.commands."""

import os
import subprocess
from uuid import uuid4

from docker.models.images import Image

from testing.commands import CONTAINER, PAGES, commands, how
from testing.containers import Containers, await_counters
from testing.waiting import PATIENCE

SHOWN = list(dict.fromkeys(command for page in PAGES for command in commands(page) if how(command) == CONTAINER))
MISTAKES = {"pyinit --drain-timeout=5s -- true": 125}
"""Commands that fail, and with which status. The others end with 0."""


def test_each_command_works(containers: Containers, image: Image) -> None:
    """In the container `app`, or as the container `pod`."""
    app, pod = (f"{name}-{uuid4().hex[:8]}" for name in ("app", "pod"))
    await_counters(containers.start_sleeper(name=app))
    replaced = {
        "IMAGE -v -- PROGRAM": f"{image.tags[0]} -v -- true",
        "PYINIT_VERBOSITY=2 IMAGE": f"PYINIT_VERBOSITY=2 {image.tags[0]} true",
        "IMAGE --pause": f"{image.tags[0]} --pause",
        "IMAGE python3 worker.py": f"{image.tags[0]} python3 -c pass",
        "docker run -d --pid": "docker run --rm --pid",
        "docker run --rm " + image.tags[0] + " -v": f"docker run --rm --entrypoint pyinit {image.tags[0]} -v",
        " app pyinitctl": f" {app} pyinitctl",
        "--name pod": f"--name {pod}",
        "container:pod": f"container:{pod}",
    }
    printed = {}
    try:
        for command in SHOWN:
            line = command if command.startswith("docker ") else f"docker exec {app} sh -c '{command}'"
            for words, others in replaced.items():
                line = line.replace(words, others)
            done = subprocess.run(
                ["bash", "-c", line],
                env={**os.environ, "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE,
            )
            assert done.returncode == MISTAKES.get(command, 0), (line, done.stdout)
            printed[command] = done.stdout
    finally:
        subprocess.run(["docker", "rm", "--force", pod], capture_output=True)
    assert printed["docker exec app pyinitctl zombies"] == "no zombies\n"
    assert "pyinit: started true" in printed["docker run --rm IMAGE -v -- PROGRAM"]
    page = next(page for page in PAGES if page.name == "options.md").read_text()
    for command in SHOWN:
        if not command.startswith("docker "):
            shown = page.split(f"    $ {command}\n    ")[1].split("\n")[0]
            assert printed[command].splitlines()[0] == shown
