"""The virtual environment with the pinned tools: `python3 -m testing.environment FOLDER REQUIREMENTS`.

Runs before anything is installed, so it uses the standard library only.
"""

import importlib.util
import subprocess
import sys

from testing import ROOT, packages, say

FEW, ALL = ROOT / "requirements-dev.txt", ROOT / "requirements-test.txt"
"""The tools of `make check`, which should not wait for any others; the tools of all targets."""


def main(folder: str, requirements: str) -> None:
    """Install the requirements into `folder`, which is made anew for those of `make check`."""
    say(f"installing {requirements} into {folder}")
    if importlib.util.find_spec("ensurepip") is None:  # Debian keeps it in a package of its own
        packages.install("python3-venv")
    if requirements == FEW.name:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    # Compiling takes a third of the time, most of it for modules that are never imported.
    pip = [f"{folder}/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile"]
    subprocess.run([*pip, "--requirement", str(ROOT / requirements)], check=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - an older one gets this message
        raise SystemExit(f"set-up: Python 3.11 or later is needed, {sys.executable} is older: make PYTHON=...")
    try:
        main(*sys.argv[1:])
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"set-up: {' '.join(error.cmd)} failed") from None
