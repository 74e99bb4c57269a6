"""`make demo`."""

import subprocess

from testing import ROOT
from testing.waiting import PATIENCE


def test_demo_shows_zombies_on_the_left_only() -> None:
    """One for each request without an init, none under pyinit, side by side."""
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE)
    assert done.returncode == 0, done.stderr
    columns = [line.partition(" |") for line in done.stdout.splitlines() if " |" in line]
    left, right = ("\n".join(column) for column in zip(*((left, right) for left, _, right in columns), strict=True))
    assert (left.count("Z [sleep]"), right.count("Z [sleep]")) == (8, 0), done.stdout
    assert "pyinit" in right, done.stdout
