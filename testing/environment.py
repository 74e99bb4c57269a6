"""The virtual environment with the pinned tools: `python3 -m testing.environment FOLDER`.

Runs before anything is installed, so it uses the standard library only.
"""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from testing import ROOT, packages, say

REQUIREMENTS = ROOT / "requirements-dev.txt"


def main(folder: str) -> None:
    """Make the environment in `folder` anew, with what requirements-dev.txt names."""
    say(f"installing {REQUIREMENTS.name} into {folder}")
    venv = [sys.executable, "-m", "venv", "--clear"]
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--requirement", str(REQUIREMENTS)]
    if importlib.util.find_spec("_ssl"):
        if importlib.util.find_spec("ensurepip") is None:  # Debian keeps it in a package of its own
            packages.install("python3-venv")
        subprocess.run([*venv, folder], check=True)
        subprocess.run([f"{folder}/bin/python", *pip], check=True)
    else:  # one with musl that `testing.musl` has built: it cannot fetch anything, and the machine's pip does
        packages.provide("pip3", "python3-pip")
        subprocess.run([*venv, "--without-pip", folder], check=True)
        [target] = Path(folder).glob("lib/python3.*/site-packages")
        version, platform = sysconfig.get_python_version(), f"musllinux_1_2_{os.uname().machine}"
        pip += ["--target", str(target), "--python-version", version, "--platform", platform, "--only-binary=:all:"]
        subprocess.run(["python3", *pip], check=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one shall be told
        raise SystemExit(f"set-up: Python 3.11 or later is needed, {sys.executable} is older: make PYTHON=...")
    try:
        main(sys.argv[1])
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"set-up: {' '.join(error.cmd)} failed") from None
