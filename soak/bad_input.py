"""Bad input for whatever reads any."""

import os
import re
import subprocess
import sys
from pathlib import Path

from soak.fault import Broken, Counts, Setting

NAME = "bad input"

ROOT = Path(__file__).parents[1]
EXAMPLES = 300
"""Of each test in one run."""


def run(setting: Setting) -> Counts:
    """Have Hypothesis make up text, bytes and files for all that reads input (`tests/unit/test_bad_input.py`): the
    parser of options and environment variables, those of /proc and of cgroup files, the reader of the counters.

    Nothing comes of it but the errors that are meant for it.
    """
    seed = setting.chance.getrandbits(32)
    # No cache, and no database of examples: runs beside this one have theirs in the same place.
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
        raise Broken(f"pytest --hypothesis-seed={seed} ended with {done.returncode}: {', '.join(failed)}")
    tried = re.findall(r"(\d+) passing, (\d+) failing", done.stdout)
    return Counts(examples=sum(int(passing) + int(failing) for passing, failing in tried))
