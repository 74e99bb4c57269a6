"""A Debian of today, with its CPython and all that the unit and namespace tests take from packages.

`python3 -m testing.newest COMMAND [ARG]...` runs a command in it, where nothing can be installed.
"""

import subprocess
import sys

from testing import roots

NEEDED = """
ca-certificates make python3 python3-venv
bsdutils busybox-static gcc less libc6-dev mandoc musl-tools procps strace util-linux vim-tiny fish zsh
catatonit cron dumb-init npm openssh-client openssh-server parallel s6 sudo supervisor systemd tini
"""

NEWEST = roots.unstable(*NEEDED.split())


def main(command: list[str]) -> int:
    """Run the command; its exit status."""
    with NEWEST.commands(command[0]) as folder:
        return subprocess.run([folder / command[0], *command[1:]]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
