"""Builds a wheel for one Python and one kind of machine, which pyproject.toml cannot describe.

Its command `pyinit` is launcher.c, and the core that it starts is compiled for this Python. Without a C compiler, or on
a machine that launcher.c does not support, the wheel is for any Python and any machine: its `pyinit` is a script that
starts two interpreters.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

MACHINE = {"linux-x86_64": "x86_64", "linux-aarch64": "aarch64"}.get(sysconfig.get_platform())
COMPILER = f"{os.environ.get('CC', 'cc')} -Os -s -ffreestanding -fno-stack-protector -static -nostdlib"


class Wheel(bdist_wheel):
    """Such a wheel. (An editable installation does not use this: its script runs the sources.)"""

    is_native = False

    def run(self) -> None:
        """Put the command into the installation's ``bin``, and what it starts into ``share/pyinit``."""
        if MACHINE and sys.implementation.name == "cpython" and (command := compiled_command()):
            self.is_native = True
            self.distribution.scripts = []
            data_files = self.distribution.data_files or []
            self.distribution.data_files = [*data_files, ("bin", [command]), ("share/pyinit", compiled_core())]
        super().run()

    def get_tag(self) -> tuple[str, str, str]:
        """The wheel runs with glibc and with musl: the command uses no C library."""
        if not self.is_native:
            return super().get_tag()
        python = f"cp{sys.version_info.major}{sys.version_info.minor}"
        return python, "none", f"manylinux_2_17_{MACHINE}.manylinux2014_{MACHINE}.musllinux_1_1_{MACHINE}"


def compiled_command() -> str | None:
    """Compile the command; None if that fails. Without a compiler, a command that was compiled earlier is used."""
    command = Path("build", f"command-{MACHINE}", "pyinit")
    command.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run([*COMPILER.split(), "-o", command, "launcher.c"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        if not isinstance(error, FileNotFoundError) or not command.exists():
            print(f"this wheel is for any machine, and its pyinit starts two interpreters: {error}", file=sys.stderr)
            return None
    return str(command)


def compiled_core() -> list[str]:
    """The launcher, and the core compiled for this Python."""
    sys.path.insert(0, "")
    from pyinit.ctl import compiled, install

    folder = Path("build", sys.implementation.cache_tag)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "launcher.py").write_text(install.launcher())
    (folder / compiled.NAME).write_bytes(compiled.archive(compiled.modules()))
    return [str(folder / "launcher.py"), str(folder / compiled.NAME)]


setup(cmdclass={"bdist_wheel": Wheel})
