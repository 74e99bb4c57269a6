"""Programs that run an application, at the end: whether it finishes its work, and how long that takes.

docs/wrappers.md has the table. ``PYINIT_WRITE_WRAPPERS=1`` writes it anew.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from testing import ROOT, packages
from testing.namespaces import ENVIRONMENT, IN_TIME, UNSHARE, Container
from testing.waiting import eventually

from .family import Family

# The measurements are made once.
pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "wrappers.md"
BEGIN, END = "<!-- The table begins. -->\n", "<!-- The table ends. -->\n"

SAVES, SAVES_IN_VAIN = 1.0, 8.0
"""Seconds that the application takes from SIGTERM to its end, also if the wrapper kills it a bit late."""

OPTIONS = ["--drain-timeout=30"]

GRACE = 60.0
"""The grace period of an engine, in seconds."""

AT_ONCE = 6
"""How many containers run at a time. They sleep most of the time."""

FORKING = threading.Lock()
"""Held while a program is written, and while a process is started: that has the files of all threads open until it
executes something, and a program that is open for writing cannot be executed (ETXTBSY, execve(2))."""

ADDRESS = ".".join(["127", *map(str, os.getpid().to_bytes(3, "big"))])
"""A loopback address of this process's own: no other one listens or connects there."""


@dataclass(frozen=True)
class Wrapper:
    """A program that runs the application."""

    command: str
    """``app`` stands for the application, ``./`` for a folder with the files."""
    package: str = ""
    """Debian's package; empty if the program is always there."""
    files: tuple[tuple[str, str], ...] = ()
    """Files in the folder: names and texts, in which `{app}` is the application and `{folder}` the folder."""
    prepare: str = ""
    """A shell command in the container's own mount namespace."""
    applications: int = 1
    """How many it runs."""
    is_service: bool = False
    """Whether a login from outside starts the application (sshd)."""
    kills: str = ""
    """Why the wrapper itself kills the application, under any init."""

    @property
    def name(self) -> str:
        """The program."""
        return self.command.split()[0]

    def words(self, folder: Path) -> list[str]:
        """The command line."""
        words = shlex.split(re.sub(r"\bapp\b", str(folder / "app"), self.command.replace("./", f"{folder}/")))
        return [packages.find(words[0]) or words[0], *words[1:]]


WAITED_FOR = "script -qec 'nohup app' /dev/null"
"""That of util-linux 2.42 waits for the application, as the page says."""

WRAPPERS = (
    Wrapper("app"),
    Wrapper("su nobody -s /bin/sh -c app"),
    Wrapper("runuser -u nobody -- app"),
    Wrapper("sudo app", "sudo"),
    Wrapper("timeout 60 app"),
    Wrapper("nohup app"),
    Wrapper("script -qec app /dev/null", "bsdutils", kills="it closes the terminal: SIGHUP"),
    Wrapper(WAITED_FOR, "bsdutils"),
    Wrapper(
        "make -j2 -f ./Makefile",
        "make",
        files=(("Makefile", "both: one two\none two:\n\t@{app}\n"),),
        applications=2,
    ),
    Wrapper("npm --prefix ./ start", "npm", files=(("package.json", '{{"scripts": {{"start": "{app}"}}}}'),)),
    Wrapper("xargs -a ./two -n1 -P2 app", "findutils", files=(("two", "one\ntwo\n"),), applications=2),
    Wrapper(
        "parallel --will-cite -j2 app ::: one two",
        "parallel",
        applications=2,
        kills="SIGKILL 0.35 s after SIGTERM (--termseq)",
    ),
    Wrapper("parallel --will-cite --termseq TERM,5000,KILL,25 -j2 app ::: one two", "parallel", applications=2),
    Wrapper(
        "supervisord -n -c ./supervisord.conf",
        "supervisor",
        files=(
            (
                "supervisord.conf",
                "[supervisord]\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=/run/supervisord.pid\nuser=root\n"
                "[program:app]\ncommand={app}\nstdout_logfile=NONE\nstderr_logfile=NONE\n",
            ),
        ),
    ),
    Wrapper("s6-svscan ./services", "s6", files=(("services/app/run", "#!/bin/sh\nexec {app}\n"),)),
    Wrapper(
        "sshd -D -f ./sshd_config",
        "openssh-server",
        files=(
            (
                "sshd_config",
                "ListenAddress {address}:{port}\nHostKey {folder}/key\nAuthorizedKeysFile {folder}/key.pub\n"
                "StrictModes no\nUsePAM yes\nPermitRootLogin yes\n",
            ),
        ),
        prepare="mkdir /run/sshd",
        is_service=True,
    ),
    Wrapper(
        "cron -f",
        "cron",
        files=(("crontab", "@reboot root {app}\n"),),
        prepare="mount --bind {folder}/crontab /etc/crontab && mount -t tmpfs none /etc/cron.d"
        " && mount -t tmpfs none /var/spool/cron/crontabs",
    ),
    Wrapper("tini -s -- app", "tini"),
    Wrapper("dumb-init app", "dumb-init"),
    Wrapper("catatonit -- app", "catatonit"),
    Wrapper("pyinit -- app"),
)


class End(NamedTuple):
    """The observations about an end."""

    is_kept: bool
    """Whether each application has finished its work."""
    seconds: float
    said: str

    @property
    def cell(self) -> str:
        """In the table."""
        return f"{'yes' if self.is_kept else '**no**'}, {self.seconds:.1f} s"


def all_sleep(container: Container) -> bool:
    """Whether no process has anything to do at this moment."""
    try:
        init = psutil.Process(container.init)
        states = {process.status() for process in (init, *init.children(recursive=True))}
    except psutil.NoSuchProcess:
        return False
    return states <= {psutil.STATUS_SLEEPING, psutil.STATUS_ZOMBIE}


Row = tuple[End, End, End]
"""The ends as the main program under pyinit and under tini, and in the background under pyinit."""

COLUMNS = ("main program, pyinit", "main program, tini", "in the background, pyinit")


class Stage:
    """Runs wrappers in containers, each in a folder of its own."""

    def __init__(self, family: Family, launcher: str) -> None:
        self._family = family
        self._path = f"{Path(launcher).parent}:{ENVIRONMENT['PATH']}"
        self._pyinit = [launcher, *OPTIONS, "--"]
        self._tini = [packages.provide("tini", "tini"), "--"]
        self._folders = Path(family.path).parent / "wrappers"
        self._folders.mkdir()

    def row(self, number: int, wrapper: Wrapper) -> Row:
        """The row of the table about a wrapper."""
        folder = self._folders / str(number)
        return (
            self.end(wrapper, self._pyinit, folder / "main", False),
            self.end(wrapper, self._tini, folder / "tini", False),
            self.end(wrapper, self._pyinit, folder / "background", True),
        )

    def end_of_tini_with_a_background_application(self) -> End:
        """The same for all wrappers."""
        return self.end(WRAPPERS[0], self._tini, self._folders / "tini", True)

    def end(self, wrapper: Wrapper, init: list[str], folder: Path, is_in_background: bool) -> End:
        """Start a container, ask it to stop when the application is ready, and observe the end."""
        port = free_port()
        with FORKING:
            self._write_files(wrapper, folder, port)
        words = wrapper.words(folder)
        if is_in_background:
            words = ["sh", "-c", f"{shlex.join(words)} & trap 'exit 0' TERM; wait"]
        prepare = "mount -t tmpfs -o mode=755 none /run"
        if wrapper.prepare:
            prepare += f" && {wrapper.prepare.format(folder=folder)}"
        command = [*IN_TIME, *UNSHARE, "sh", "-c", f'{prepare} && exec "$@"', "sh", *init, *words]
        environment = {"PATH": self._path, "HOME": str(folder), "npm_config_update_notifier": "false"}
        said = folder / "said"
        login = Login(folder, port, is_needed=wrapper.is_service)
        with FORKING:
            container = Container(command, env=environment, cwd=folder)
        with container, login:
            eventually(
                lambda: said.read_text() + state(container),
                f"{wrapper.command} runs the application",
                holds=lambda text: text.count("ready") == wrapper.applications,
            )
            # A wrapper may start the application before it handles signals.
            eventually(lambda: all_sleep(container), f"{wrapper.command} has nothing more to do")
            begin = time.monotonic()
            container.signal(signal.SIGTERM)
            try:
                container.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                container.signal(signal.SIGKILL)
            seconds = time.monotonic() - begin
        text = said.read_text()
        return End(text.count("saved") == wrapper.applications, seconds, text)

    def _write_files(self, wrapper: Wrapper, folder: Path, port: int) -> None:
        folder.mkdir(parents=True)
        said, app = folder / "said", folder / "app"
        said.touch()
        said.chmod(0o666)
        seconds = SAVES_IN_VAIN if wrapper.kills else SAVES
        app.write_text(f"#!/bin/sh\nexec {shlex.join(self._family.words(f'app save {seconds}'))} >> {said}\n")
        for name, text in wrapper.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(app=app, folder=folder, address=ADDRESS, port=port))
            if name.endswith("/run"):
                path.chmod(0o755)
        app.chmod(0o755)
        if wrapper.is_service:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)


class Login:
    """A login from outside that runs the application by ssh."""

    def __init__(self, folder: Path, port: int, is_needed: bool) -> None:
        options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectionAttempts=99"]
        words = ["ssh", "-F/dev/null", f"-i{folder}/key", f"-p{port}", *[f"-o{option}" for option in options]]
        self._command = [*words, f"root@{ADDRESS}", str(folder / "app")] if is_needed else []
        self._log = folder / "ssh.log"

    def __enter__(self) -> None:
        if self._command:
            with self._log.open("w") as log, FORKING:
                self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __exit__(self, *_: object) -> None:
        if self._command:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A port of `ADDRESS` that is not in use."""
    with socket.socket() as one:
        one.bind((ADDRESS, 0))
        return int(one.getsockname()[1])


def state(container: Container) -> str:
    """How the container ended, for a message."""
    return "" if container.process.poll() is None else f"\nended: {container.end()}"


@pytest.fixture(scope="module")
def stage(family: Family, launcher: str) -> Stage:
    """With all packages."""
    for wrapper in WRAPPERS:
        if wrapper.package:
            packages.provide(wrapper.name, wrapper.package, with_recommended=False)  # npm recommends a compiler
    return Stage(family, launcher)


@pytest.fixture(scope="module")
def rows(stage: Stage) -> dict[str, Row]:
    """The observations about each wrapper."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = dict(zip(WRAPPERS, pool.map(stage.row, range(len(WRAPPERS)), WRAPPERS), strict=True))
    found = {wrapper.command: row for wrapper, row in seen.items()}
    if os.environ.get("PYINIT_WRITE_WRAPPERS"):
        write(found)
    return found


def write(rows: dict[str, Row]) -> None:
    """Write the table."""
    lines = [f"| command | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [f"| `{command}` | {' | '.join(end.cell for end in row)} |" for command, row in rows.items()]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("".join([before, BEGIN, *[f"{line}\n" for line in lines], END, after]))


def read() -> dict[str, list[tuple[bool, float]]]:
    """The page's claims: whether the work is kept, and the seconds, for each command and column."""
    _, _, rest = PAGE.read_text().partition(BEGIN)
    table, _, _ = rest.partition(END)
    found = {}
    for line in table.splitlines()[2:]:
        command, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        pairs = [re.fullmatch(r"(yes|\*\*no\*\*), ([\d.]+) s", cell) for cell in cells]
        found[command.strip("`")] = [(pair[1] == "yes", float(pair[2])) for pair in pairs if pair]
    return found


def test_the_page_lists_these_wrappers() -> None:
    """And no others."""
    assert list(read()) == [wrapper.command for wrapper in WRAPPERS]


def version_of_script() -> tuple[int, ...]:
    """Major and minor of the util-linux that it comes from."""
    said = subprocess.run(["script", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:2]))


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("command", [wrapper.command for wrapper in WRAPPERS])
def test_each_wrapper_keeps_what_the_page_says(rows: dict[str, Row], command: str, column: str) -> None:
    """And takes about as long, or longer on a loaded machine."""
    seen = rows[command][COLUMNS.index(column)]
    is_kept, seconds = read()[command][COLUMNS.index(column)]
    if command == WAITED_FOR and column != COLUMNS[-1] and version_of_script() >= (2, 42):
        is_kept, seconds = True, 2.0
    assert seen.is_kept == is_kept, seen
    assert seconds - 1 <= seen.seconds <= seconds + 15, seen


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.command)
def test_nothing_is_lost_under_pyinit(rows: dict[str, Row], wrapper: Wrapper) -> None:
    """Unless the wrapper itself kills the application."""
    as_main, under_tini, in_background = rows[wrapper.command]
    kept = [as_main.is_kept, in_background.is_kept]
    if wrapper.kills:
        assert not any([*kept, under_tini.is_kept]), rows[wrapper.command]
    else:
        assert all(kept), rows[wrapper.command]


def test_under_tini_an_application_in_the_background_is_lost(stage: Stage) -> None:
    """The kernel kills it when the main program has exited. The page says so once for all wrappers."""
    assert not stage.end_of_tini_with_a_background_application().is_kept
