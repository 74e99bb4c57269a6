"""The virtual environment with the pinned tools: `python3 -m testing.environment FOLDER`.

Runs before anything is installed, so it uses the standard library only.
"""

import importlib.util
import subprocess
import sys

from testing import ROOT, packages, say

REQUIREMENTS = ROOT / "requirements-dev.txt"


def main(folder: str) -> None:
    """Make the environment in `folder` anew, with what requirements-dev.txt names."""
    if importlib.util.find_spec("ensurepip") is None:  # Debian keeps it in a package of its own
        packages.install("python3-venv")
    say(f"installing {REQUIREMENTS.name} into {folder}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [f"{folder}/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--requirement", str(REQUIREMENTS)], check=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one shall be told
        raise SystemExit(f"set-up: Python 3.11 or later is needed, {sys.executable} is older: make PYTHON=...")
    try:
        main(sys.argv[1])
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"set-up: {' '.join(error.cmd)} failed") from None
