"""A workload that begins by taking PID 1's descriptors away with prlimit(2)."""

import errno
import functools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.namespaces import Container
from testing.waiting import PATIENCE, eventually

from .conftest import LIMITED, TOLD, Begin, Installation, Log, log_of

RUNS, AT_ONCE = 20, 4

INSTALLED = [
    ("installed", 3, "PID 1"),
    ("installed", 3, "subreaper"),
    ("installed", 0, "PID 1"),
    ("installed", 0, "subreaper"),
]
OTHERS = [
    ("sources", 3, "PID 1"),
    ("sources", 0, "subreaper"),
    ("site-packages", 3, "subreaper"),
    ("site-packages", 0, "PID 1"),
]
"""The kind of installation, how many descriptors pyinit is left, and whether it is PID 1."""


class World:
    """Starts pyinit in one of these ways, with a workload that first takes the descriptors away."""

    def __init__(self, begin: Begin, installation: Installation, actor: str, limit: int, is_pid_1: bool) -> None:
        self._begin = functools.partial(begin, installation, before=LIMITED, is_pid_1=is_pid_1)
        self._workload = ["--", actor, "take-descriptors", str(limit)]

    def start(self, *options: str, acts: str, **popen: object) -> Container:
        """Start it; the workload goes on with these acts."""
        return self._begin(*options, *self._workload, *acts.split(), **popen)


@pytest.fixture(params=[*INSTALLED, *OTHERS], ids=lambda param: f"{param[0]}, {param[1]}, {param[2]}")
def world(request: pytest.FixtureRequest, begin: Begin, installations: dict[str, Installation], actor: str) -> World:
    """Each in turn."""
    kind, limit, place = request.param
    return World(begin, installations[kind], actor, limit, place == "PID 1")


in_the_two_extremes = pytest.mark.parametrize(
    "world", INSTALLED[::3], indirect=True, ids=lambda param: f"{param[1]}, {param[2]}"
)
with_standard_input_to_give = pytest.mark.parametrize(
    "world",
    [one for one in (*INSTALLED, *OTHERS) if one[1] == 3],
    indirect=True,
    ids=lambda param: f"{param[0]}, {param[2]}",
)
"""PID 1 closes its own to read /proc and to write the termination log. With a limit of 0 no file can be opened."""


def test_the_workload_has_its_status(world: World) -> None:
    """In each of many runs, since the timing differs."""
    seen = []
    for _ in range(RUNS // AT_ONCE):
        together = [world.start(acts="delay 15 exit 7") for _ in range(AT_ONCE)]
        ends = [container.end() for container in together]
        seen += [(ended.status, ended.err) for ended in ends]
    wrong = [one for one in seen if one != (7, "")]
    assert not wrong, f"{len(wrong)} of {len(seen)} runs, the first: status {wrong[0][0]}, stderr:\n{wrong[0][1]}"


@in_the_two_extremes
def test_nothing_is_logged_again_each_second(world: World) -> None:
    """pyinit says once what it cannot do. (It used to try again after a second, so the test waits longer.)"""
    ended = world.start(*TOLD, "--zombie-watch=0.1", acts="delay 2200 exit 7").end()
    log = log_of(ended)
    assert ended.status == 7, ended
    assert all(count == 1 for count in log.complaints.values()), log


def test_the_stop_timeout_is_kept(world: World) -> None:
    """A workload that ignores TERM is killed one second later, and the report says so."""
    container = world.start(*TOLD, "--stop-timeout=1", acts="ignore 15 say ready pause")
    container.expect("ready")
    since = time.monotonic()
    container.signal(signal.SIGTERM)
    ended = container.end()
    took = time.monotonic() - since
    report = log_of(ended).report
    assert ended.status == 137, ended
    assert 1 <= took < 20, f"the end came {took:.1f} s after TERM: {ended}"
    assert (report["signal"], report["killed_by"], report["status"]) == ("SIGTERM", "SIGKILL", 137), ended
    assert 0.9 < report["killed_after_seconds"] < 20, ended
    assert re.search(r"[\d.]+s (after|of) SIGTERM from outside", report["message"]), ended


@with_standard_input_to_give
def test_stragglers_are_asked_to_end(world: World) -> None:
    """Each says that it was asked, and pyinit exits at once."""
    since = time.monotonic()
    ended = world.start(*TOLD, "--drain-timeout=60", acts="start 3 exit 7").end()
    took = time.monotonic() - since
    assert (ended.status, ended.out) == (7, "asked\n" * 3), ended
    assert took < 20, f"it took {took:.1f} s: {ended}"


@with_standard_input_to_give
def test_stragglers_that_ignore_the_signal_are_killed_at_the_drain_timeout(world: World) -> None:
    """And not sooner. No process is left behind."""
    since = time.monotonic()
    ended = world.start(*TOLD, "--drain-timeout=2", acts="start 1 start-stubborn 2 exit 7").end()
    took = time.monotonic() - since
    assert (ended.status, ended.out) == (7, "asked\n"), ended
    assert 2 <= took < 20, f"it took {took:.1f} s: {ended}"


def test_signals_arrive_and_orphans_are_reaped(world: World) -> None:
    """A standard signal, each instance of a real-time signal, and 50 orphans."""
    container = world.start(*TOLD, acts="block say ready hear 4 orphans 50 await-gone exit 7")
    container.expect("ready")
    real_time = signal.SIGRTMIN + 3
    for number in (signal.SIGHUP, real_time, real_time, signal.SIGUSR1):
        container.signal(number)
    heard = sorted([container.line() for _ in range(4)], key=int)
    assert heard == [str(int(number)) for number in (signal.SIGHUP, signal.SIGUSR1, real_time, real_time)]
    container.expect("gone")
    ended = container.end()
    assert ended.status == 7, ended
    assert log_of(ended).report["orphans_reaped"] == 50, ended


# Output.


class Reader:
    """A standard error of some kind, and all that comes out of it."""

    def __init__(self, kind: str, path: Path) -> None:
        self._path = path
        self._text = b""
        self._thread: threading.Thread | None = None
        if kind == "file":
            self.end = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            return
        if kind == "terminal":
            ours, self.end = os.openpty()
        elif kind == "pipe":
            ours, self.end = os.pipe()
        else:
            there, here = socket.socketpair(socket.AF_UNIX, getattr(socket, kind))
            ours, self.end = here.detach(), there.detach()
        self._thread = threading.Thread(target=self._read, args=[ours])
        self._thread.start()

    def _read(self, fd: int) -> None:
        try:
            while some := os.read(fd, 1 << 16):
                self._text += some
        except OSError as error:  # the other end of the terminal or socket was closed
            assert error.errno in (errno.EIO, errno.ECONNRESET), error
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close our copy of the writer's end: only the container has one then."""
        os.close(self.end)

    def text(self) -> str:
        """All that was written, when all writers have ended."""
        if self._thread is None:
            return self._path.read_text()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the writers have not ended"
        return self._text.decode().replace("\r\n", "\n")


@pytest.fixture(params=["pipe", "file", "terminal", "SOCK_STREAM"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    """A standard error for a container."""
    yield Reader(request.param, tmp_path / "stderr")


@with_standard_input_to_give
def test_all_lines_are_written(world: World, reader: Reader) -> None:
    """About the start, a signal and the end, whatever kind of file standard error is."""
    acts = "block say ready hear 1 orphans 1 await-gone exit 7"
    container = world.start(*TOLD, "--warn-on-reap", acts=acts, stderr=reader.end)
    reader.close()
    container.expect("ready")
    container.signal(signal.SIGUSR1)
    container.expect(str(int(signal.SIGUSR1)))
    container.expect("gone")
    ended = container.end()
    log = Log(reader.text())
    assert ended.status == 7, (ended, log)
    assert [one["event"] for one in log.events] == ["started", "signal", "reaped", "ended"], log
    assert log.of("signal")[0]["signal"] == "SIGUSR1", log
    assert "(actor)" in log.of("reaped")[0]["message"] or "actor" in log.of("reaped")[0].values(), log


@with_standard_input_to_give
def test_the_termination_log_is_written(world: World, tmp_path: Path) -> None:
    """The line about an abnormal end is written there and to standard error."""
    ended = world.start("--log-format=json", f"--termination-log={tmp_path}/log", acts="delay 15 die 9").end()
    assert ended.status == 137, ended
    assert log_of(ended).report["killed_by"] == "SIGKILL", ended
    assert (tmp_path / "log").exists(), ended
    assert (tmp_path / "log").read_text() == ended.err


def test_the_counters_can_be_read(world: World, bin_folder: Path) -> None:
    """By pyinitctl, from outside, and they are updated."""
    acts = "block say ready hear 1 orphans 5 await-gone await-line exit 7"
    container = world.start(acts=acts, stdin=subprocess.PIPE)
    container.expect("ready")
    container.signal(signal.SIGUSR1)
    container.expect(str(int(signal.SIGUSR1)))
    container.expect("gone")
    seen: list[object] = []
    try:
        eventually(lambda: _told(container, bin_folder, seen) == (5, ["SIGUSR1"]), "5 orphans and USR1 are counted")
    except AssertionError as error:
        raise AssertionError(f"{error}; but {seen}") from None
    container.say()
    ended = container.end()
    assert (ended.status, ended.err) == (7, ""), ended


def _told(container: Container, bin_folder: Path, seen: list[object]) -> tuple[object, object]:
    """The number of orphans and the names of signals that ``pyinitctl status`` shows."""
    enter = ["nsenter", f"--target={container.init}", "--mount", "--pid", "--"]
    done = subprocess.run(
        [*enter, bin_folder / "pyinitctl", "status", "--json"], capture_output=True, text=True, timeout=PATIENCE
    )
    told: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    seen[:] = [told or done.stderr]
    return told.get("orphans_reaped"), [one["signal"] for one in told.get("signals_forwarded", [])]


@in_the_two_extremes
def test_it_sleeps_while_the_workload_does(world: World) -> None:
    """The loop does not turn without a cause: nothing is tried again and again."""
    container = world.start(acts="say ready await-line exit 7", stdin=subprocess.PIPE)
    container.expect("ready")
    before = container.await_settled()
    time.sleep(1.5)  # nothing should happen, so there is no condition to wait for
    assert container.context_switches() == before
    container.say()
    assert container.end().status == 7


def test_a_subreaper_that_can_open_nothing_says_so_once(
    begin: Begin, installations: dict[str, Installation], actor: str
) -> None:
    """It cannot see which processes are left, and leaves them alone: the status is right, and there is no wait."""
    world = World(begin, installations["installed"], actor, 0, is_pid_1=False)
    ended = world.start(acts="start 1 delay 15 exit 7").end()
    assert ended.status == 7, ended
    assert ended.err.count("cannot see which processes remain") == 1, ended
