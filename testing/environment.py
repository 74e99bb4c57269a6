"""The virtual environment with the pinned tools: `python3 -m testing.environment FOLDER REQUIREMENTS`.

Runs before anything is installed, so it uses the standard library only.
"""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from testing import ROOT, packages, say

FEW, ALL = ROOT / "requirements-dev.txt", ROOT / "requirements-test.txt"
"""The tools of `make check`, which should not wait for any others; the tools of all targets."""


def main(folder: str, requirements: str) -> None:
    """Install the requirements into `folder`, which is made anew for those of `make check`."""
    say(f"installing {requirements} into {folder}")
    # Compiling takes a third of the time, most of it for modules that are never imported.
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile"]
    pip += ["--requirement", str(ROOT / requirements)]
    venv = [sys.executable, "-m", "venv", "--clear"]
    is_new = requirements == FEW.name
    if importlib.util.find_spec("_ssl"):
        if importlib.util.find_spec("ensurepip") is None:  # Debian keeps it in a package of its own
            packages.install("python3-venv")
        if is_new:
            subprocess.run([*venv, folder], check=True)
        subprocess.run([f"{folder}/bin/python", *pip], check=True)
    else:  # it was built by `testing.musl` and cannot use TLS: the machine's pip fetches the packages
        packages.provide("pip3", "python3-pip")
        if is_new:
            subprocess.run([*venv, "--without-pip", folder], check=True)
        [target] = Path(folder).glob("lib/python3.*/site-packages")
        version, platform = sysconfig.get_python_version(), f"musllinux_1_2_{os.uname().machine}"
        pip += ["--target", str(target), "--python-version", version, "--platform", platform, "--only-binary=:all:"]
        subprocess.run(["python3", *pip], check=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - an older one gets this message
        raise SystemExit(f"set-up: Python 3.11 or later is needed, {sys.executable} is older: make PYTHON=...")
    try:
        main(*sys.argv[1:])
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"set-up: {' '.join(error.cmd)} failed") from None
