"""docs/zombies.md and docs/shutdown.md: each command is run, and prints what the page shows."""

import os
import re
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from docker.models.images import Image

from testing import ROOT, packages
from testing.waiting import PATIENCE

ZOMBIES, SHUTDOWN = ROOT / "docs" / "zombies.md", ROOT / "docs" / "shutdown.md"


def steps(page: Path) -> list[tuple[str, str]]:
    """The commands of the page and their output, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    found = [block.partition("\n") for text in blocks for block in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
    return [(command, printed) for command, _, printed in found]


def likeness(text: str) -> list[str]:
    """The lines without ids, pids, ages and the widths of columns, which differ from run to run.

    Without a word that is cut short, too: where that is depends on the widths.
    """
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "ID", text)
    text = re.sub(r"\b\d+(\.\d)?(ms|s|m(\d\ds)?|h\d\dm)\b", "AGE", text)
    text = re.sub(r"\d+", "N", text)
    text = re.sub(r"\S+…", "…", text)
    return [" ".join(line.split()) for line in text.splitlines()]


def on_a_loaded_machine(command: str) -> str:
    """The command with more time than on the page, for a machine on which a program may take seconds to start."""
    command = re.sub(r"\bsleep (\d);", lambda found: f"sleep {4 * int(found[1])};", command)
    command = command.replace(" timeout 5 ", " timeout 20 ").replace("docker stop ", "docker stop -t 60 ")
    return command.replace("PYINIT_VERBOSITY=3 ", "PYINIT_VERBOSITY=3 --env PYINIT_DRAIN_TIMEOUT=30 ")


def run(command: str, image: Image, name: str) -> str:
    """The output of a command of the page, run with the image under test and another container name."""
    command = on_a_loaded_machine(command)
    command = re.sub(
        r"\bpyinit(?= (sh|timeout|python3|/example/start.sh)\b)", image.tags[0], re.sub(r"\blab\b", name, command)
    )
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3 * PATIENCE,
    )
    return done.stdout.replace(name, "lab")


@pytest.mark.parametrize("page", [ZOMBIES, SHUTDOWN], ids=lambda page: page.stem)
def test_the_page_prints_what_it_shows(image: Image, page: Path) -> None:
    """In order, with the image on each base."""
    packages.provide("ps", "procps")
    name = f"lab-{uuid4().hex[:8]}"
    shown = steps(page)
    assert len(shown) > 5
    try:
        for command, printed in shown:
            assert likeness(run(command, image, name)) == likeness(printed), command
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True)


@pytest.mark.parametrize("path", ["examples/never_joins.py", "examples/reaps_on_sigchld.py"])
def test_the_tutorial_shows_both_programs(path: str) -> None:
    """The one with the mistake, and the one with the cure."""
    assert path in ZOMBIES.read_text()
