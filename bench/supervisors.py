"""Supervisors as inits: they read what to run from files, which are written for each start, as in an image.

Both are set up to exit when their only workload exits, in the way that their users do it.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import Contender


@dataclass(frozen=True)
class S6(Contender):
    """``s6-svscan`` with one service; `folder` is for its scan directories."""

    folder: Path = Path()

    def running(self, *workload: str) -> tuple[str, ...]:
        """The service's ``finish`` script ends s6-svscan with the workload; the script SIGUSR1 forwards that signal."""
        scanned = Path(tempfile.mkdtemp(prefix="s6-", dir=self.folder))
        service, control = scanned / "workload", scanned / ".s6-svscan"
        service.mkdir()
        control.mkdir()
        scripts = {
            service / "run": " ".join(workload),
            service / "finish": f"s6-svscanctl -t {scanned}",
            control / "SIGUSR1": f"s6-svc -1 {service}",
        }
        for path, command in scripts.items():
            path.write_text(f"#!/bin/sh\nexec {command}\n")
            path.chmod(0o755)
        return (*self.prefix, str(scanned))

    def version(self) -> str:
        """The version of the Debian package: the program does not print one."""
        asked = ["dpkg-query", "--show", "--showformat=${Version}", "s6"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout or "unknown"


@dataclass(frozen=True)
class Supervisord(Contender):
    """``supervisord`` with one program, and an event listener that stops it with the program."""

    folder: Path = Path()

    def running(self, *workload: str) -> tuple[str, ...]:
        """The workload uses the stdin and stdout of PID 1: supervisord would copy each line, and offers no stdin."""
        with tempfile.NamedTemporaryFile("w", prefix="supervisord-", dir=self.folder, delete=False) as file:
            file.write(f"""\
[supervisord]
nodaemon=true
silent=true
user=root
logfile=/dev/null
logfile_maxbytes=0
pidfile={file.name}.pid

[program:workload]
command=/bin/sh -c 'exec {" ".join(workload)} </proc/1/fd/0 >/proc/1/fd/1'
autorestart=false
startsecs=0

[eventlistener:end]
command=/bin/sh -c 'echo READY; read -r event; kill -TERM 1; read -r never'
events=PROCESS_STATE_EXITED,PROCESS_STATE_FATAL
""")
        return (*self.prefix, "-c", file.name)
