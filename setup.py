"""What pyproject.toml cannot say: a wheel is made for the Python that builds it, and for its kind of machine.

Its command `pyinit` is launcher.c, and what that starts is compiled for this Python. Where there is no C compiler, or
launcher.c was not written for the machine, the wheel is for any: its `pyinit` is a script that starts two interpreters.
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
    """A wheel as above. (An editable installation is not made by this: it runs the sources, by the script.)"""

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
        """For any C library that there is a Python for: the command does without."""
        if not self.is_native:
            return super().get_tag()
        python = f"cp{sys.version_info.major}{sys.version_info.minor}"
        return python, python, f"manylinux_2_17_{MACHINE}.manylinux2014_{MACHINE}.musllinux_1_1_{MACHINE}"


def compiled_command() -> str | None:
    """The command; None if it cannot be compiled. Where there is no compiler, one that was compiled before will do."""
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
