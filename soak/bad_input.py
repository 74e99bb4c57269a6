"""Bad input for everything that reads input."""

import os
import re
import subprocess
import sys
from pathlib import Path

from soak.fault import Broken, Counts, Setting

NAME = "bad input"

ROOT = Path(__file__).parents[1]
EXAMPLES = 300
"""Number of examples for each test in one run."""


def run(setting: Setting) -> Counts:
    """Let Hypothesis generate text, bytes and files for everything that reads input (`tests/unit/test_bad_input.py`):
    the parsers of options, environment variables, /proc and cgroup files, and the reader of the counters.

    Bad input leads only to the errors that are meant for it.
    """
    seed = setting.chance.getrandbits(32)
    # No cache, and a database of examples of our own: parallel runs would share the usual ones.
    own = ["-p", "no:cacheprovider", f"--basetemp={setting.folder}/tmp"]
    tests = ["tests/unit/test_bad_input.py", f"--hypothesis-seed={seed}", "--hypothesis-show-statistics"]
    command = [sys.executable, "-m", "pytest", "-q", *own, *tests]
    environment = {
        **os.environ,
        "FUZZ_EXAMPLES": str(EXAMPLES),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(setting.folder / "hypothesis"),
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        raise Broken(f"pytest --hypothesis-seed={seed} exited with {done.returncode}: {', '.join(failed)}")
    tried = re.findall(r"(\d+) passing, (\d+) failing", done.stdout)
    return Counts(examples=sum(int(passing) + int(failing) for passing, failing in tried))
