"""The counters: pyinitctl reads what pyinit writes, and other content does no harm."""

import contextlib
import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import pyinit
from pyinit.account import Account, Received
from pyinit.ctl import published
from pyinit.ctl import status as command
from pyinit.ctl.failure import CannotLook
from pyinit.ctl.published import Counters
from pyinit.forwarder import received_from
from pyinit.kernel import reserves
from pyinit.reporting import COUNTERS, counters
from pyinit.reporting.log import Log
from testing.waiting import PATIENCE

ROOT = Path(__file__).parents[2]

CONTENT: dict[str, object] = {
    "pid": 1,
    "workload": 7,
    "name": "app",
    "started": 1.5,
    "stage": "draining",
    "wait_status": 3 << 8,
    "ended": 2.5,
    "orphans_reaped": 12,
    "log_lines_dropped": 3,
    "signals": [[15, 2, 0, 0, "from outside the container", 2.0], [1, 1, 9, 1000, None, 2.25]],
}
"""The content of a page."""

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300, max_value=10**400)
    | st.floats()
    | st.text()
    | st.sampled_from(["\x1b[31m", "a\nunhealthy: b", '"} 1', "\ud800", "\u202e", "\\"]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@contextlib.contextmanager
def holding(content: bytes) -> Iterator[None]:
    """Give this process a memfd with this content, under the name that pyinit uses."""
    fd = os.memfd_create(COUNTERS)
    try:
        os.write(fd, content)
        yield
    finally:
        os.close(fd)


def page(value: object, layout: int = counters.LAYOUT, version: bytes = b"1.2") -> bytes:
    """A complete page."""
    return page_of(json.dumps(value).encode(), layout, version)


def page_of(body: bytes, layout: int = counters.LAYOUT, version: bytes = b"1.2") -> bytes:
    """A complete page with any body."""
    text = b"%s\n7\n" % body
    head = b"%s %d %s %d 7" % (COUNTERS.encode(), layout, version, 80 + len(text))
    return b"%s\n%s" % (head.ljust(79), text)


def look() -> Counters:
    """Read the counters of this process."""
    return published.read(os.getpid())


def received(number: int, code: int = 0, pid: int = 0, uid: int = 0) -> Received:
    """A signal, as the kernel reports it."""
    return received_from(signal.struct_siginfo((number, code, 0, pid, uid, 0, 0)))


@contextlib.contextmanager
def published_account(name: str = "app") -> Iterator[tuple[Account, Log, counters.Page]]:
    """Give this process a page of counters, as pyinit opens it."""
    log = Log()
    account = Account(7, name, time.monotonic(), False, {})
    opened = counters.Page(account, reserves.open_memfd(COUNTERS), log)
    try:
        yield account, log, opened
    finally:
        os.close(opened._fd)


def test_pyinitctl_reads_what_pyinit_writes() -> None:
    """All of the counters."""
    with published_account() as (account, log, opened):
        account.orphans = 12
        log.lost = 3
        for one in (received(15), received(15), received(signal.SIGRTMIN, pid=9, uid=1000), received(2, code=0x80)):
            account.add_signal(one, one.number, is_stop=False)
        opened.update()
        seen = look()
    assert (seen.version, seen.pid, seen.workload, seen.name) == (pyinit.__version__, os.getpid(), 7, "app")
    assert (seen.stage, seen.wait_status, seen.ended_seconds_ago) == ("running", None, None)
    assert (seen.orphans_reaped, seen.log_lines_dropped, seen.is_pause) == (12, 3, False)
    signals = [(one.signal, one.count, one.sender_pid, one.sender_uid, one.origin) for one in seen.forwarded]
    assert signals == [
        ("SIGTERM", 2, 0, 0, None),
        ("SIGRTMIN", 1, 9, 1000, None),
        ("SIGINT", 1, None, None, None),
    ]
    assert all(0 <= one.seconds_ago < 60 for one in seen.forwarded)
    assert 0 <= seen.seconds < 60


def test_a_shorter_state_overwrites_a_longer_one() -> None:
    """The file does not shrink, but nothing of the old state is read."""
    with published_account() as (account, log, opened):
        log.lost = 10**15
        opened.update()
        log.lost = 0
        account.end_workload(9)
        opened.update()
        seen = look()
    assert (seen.log_lines_dropped, seen.wait_status) == (0, 9)


@given(name=st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_name_arrives_and_is_printable(name: str) -> None:
    """The name of a program may contain any byte."""
    with published_account(name) as (_, _, opened):
        opened.update()
        seen = look()
    assert seen.name.isprintable()
    if name.isprintable():
        assert seen.name == name


def test_each_read_is_consistent_during_constant_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no lock, but all numbers that are read belong to the same state."""
    monkeypatch.setattr(published, "_PATIENCE", PATIENCE)
    program = """if True:
        from pyinit.account import Account, Received
        from pyinit.kernel import reserves
        from pyinit.reporting import COUNTERS, counters, log
        lines = log.Log()
        account = Account(7, "app", 0.0, False, {})
        page = counters.Page(account, reserves.open_memfd(COUNTERS), lines)
        infos = [Received(number, 0, 0) for number in range(1, 31)]
        page.update()
        print(flush=True)
        while True:
            for number in (*range(1000), 10**15):
                account.orphans = lines.lost = account.forwards = number
                account.forwarded = {1 + n: (number, info) for n, info in enumerate(infos[:number % 30])}
                page.update()
    """
    writer = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    with writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            states = [published.read(writer.pid) for _ in range(300)]
            while len({seen.orphans_reaped for seen in states}) == 1:  # the writer has had no processor meanwhile
                states.append(published.read(writer.pid))
        finally:
            writer.kill()
    for seen in states:
        number = seen.orphans_reaped
        assert seen.log_lines_dropped == number
        assert [one.count for one in seen.forwarded] == [number] * (number % 30)


def test_another_layout_is_reported_with_both_versions() -> None:
    """This happens with a pyinitctl of another version."""
    with holding(page("what nobody knows yet", layout=2, version=b"9.9")), pytest.raises(CannotLook) as refused:
        look()
    assert "pyinit 9.9, whose counters have layout 2" in str(refused.value)
    assert f"pyinitctl {pyinit.__version__}, which reads layout {counters.LAYOUT}" in str(refused.value)


@pytest.mark.parametrize("content", [page(CONTENT)[:-1], page(CONTENT).replace(b"7", b"8", 1)])
def test_a_page_that_is_never_complete_is_reported_as_damaged(content: bytes) -> None:
    """The reader does not wait for ever."""
    with holding(content), pytest.raises(CannotLook, match="written all the time, or are damaged"):
        look()


def test_a_name_without_end_is_cut() -> None:
    """Whoever has written it. `host` lists it among others, which stay readable."""
    with holding(page({**CONTENT, "name": "x" * 60_000})):
        assert look().name == "x" * 255


def test_a_page_that_is_still_empty_has_just_been_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyinit writes it a moment after the start of the workload."""
    monkeypatch.setattr(published, "_PATIENCE", 0)
    with holding(b""), pytest.raises(CannotLook, match="published no counters: it has only just started"):
        look()


def test_a_fifo_does_not_block_the_reader(tmp_path: Path) -> None:
    """In its own mount namespace, a process can have a FIFO under the name that the link of a memfd shows."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CannotLook, match=f"cannot read the counters of pid 7: {os.strerror(errno.ESPIPE)}"):
        published._object_in(str(tmp_path / "fifo"), 7, until=0)


@given(content=st.binary() | st.binary().map(lambda tail: page(CONTENT)[:85] + tail))
def test_any_other_content_is_an_error_of_one_line(content: bytes) -> None:
    """There is no traceback."""
    with pytest.MonkeyPatch.context() as patch, holding(content), pytest.raises(CannotLook) as refused:
        patch.setattr(published, "_PATIENCE", 0)
        look()
    assert "\n" not in str(refused.value)


@given(value=ANYTHING)
def test_any_other_json_value_is_an_error_of_one_line(value: object) -> None:
    """The error says that the counters make no sense."""
    with holding(page(value)), pytest.raises(CannotLook, match="make no sense"):
        look()


@pytest.mark.parametrize("body", [b"[" * 20_000, b"1" * 20_000, b"\xff", b'{"pid": 1e999}'])
def test_a_body_that_cannot_be_parsed_is_an_error_of_one_line(body: bytes) -> None:
    """Too deep, too long, or not UTF-8."""
    with holding(page_of(body)), pytest.raises(CannotLook, match="make no sense"):
        look()


@pytest.mark.slow
@given(
    value=st.sampled_from([*CONTENT]).flatmap(lambda key: ANYTHING.map(lambda value: {**CONTENT, key: value}))
    | st.lists(st.tuples(*[ANYTHING | st.integers(0, 70)] * 6), max_size=3).map(
        lambda value: {**CONTENT, "signals": value}
    )
)
def test_a_page_that_somebody_has_overwritten_forges_nothing(value: dict[str, object]) -> None:
    """All output formats keep their structure, or the page is refused."""
    with holding(page(value)):
        try:
            seen = look()
        except CannotLook as error:
            assert "make no sense" in str(error)
            return
    hold_shape(seen)


@given(name=st.text(), origin=st.text(), version=st.binary(min_size=1, max_size=40))
def test_names_forge_nothing(name: str, origin: str, version: bytes) -> None:
    """The version forges nothing, either."""
    word = b"".join(version.split()) or b"?"
    with holding(page({**CONTENT, "name": name, "signals": [[15, 2, 0, 0, origin, 2.0]]}, version=word)):
        hold_shape(look())


def hold_shape(seen: Counters) -> None:
    """Check that all output formats have the lines and names that they should."""
    senders = [command._sender(one, can_be_looked_up=True) for one in seen.forwarded]
    lines = command._as_text(seen, senders).split("\n")
    assert all(line.isprintable() for line in lines)
    assert [line[:8].strip() for line in lines][:6] == ["pyinit", "workload", "stage", "orphans", "log", "signals"]
    assert len(lines) == 5 + max(1, len(seen.forwarded))
    as_json = command._as_json(seen, senders)
    assert as_json.isprintable()
    assert json.loads(as_json, parse_constant=pytest.fail)["version"] == seen.version
    text = command._as_metrics(seen, 0) + "\n"
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert [sample.labels["version"] for sample in samples if sample.name == "pyinit_info"] == [seen.version]
    assert sum(sample.value for sample in samples if sample.name == "pyinit_stage") == 1
    assert all(math.isfinite(sample.value) for sample in samples)
    counted = [sample for sample in samples if sample.name == "pyinit_signals_forwarded_total"]
    assert [sample.value for sample in counted] == [one.count for one in seen.forwarded]


def test_a_process_without_counters_is_named() -> None:
    """The error says that it is not pyinit."""
    with pytest.raises(CannotLook, match=r"^pid \d+ \(.+\) publishes no counters: it is not pyinit"):
        look()


def test_a_missing_process_is_reported() -> None:
    """It may have just exited."""
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(CannotLook, match=f"no process with pid {child.pid} is visible"):
        published.read(child.pid)
