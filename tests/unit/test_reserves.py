"""Opening files after the workload has taken away PID 1's descriptors or memory."""

import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BEGIN = f"""if True:
    import ctypes, errno, os, resource, sys
    sys.path.insert(0, {str(ROOT)!r})
    from pyinit.kernel import procfs, reserves
    from pyinit.reporting import zombies

    def take_descriptors_away():
        resource.prlimit(0, resource.RLIMIT_NOFILE, (3, 3))
"""


def run(program: str) -> None:
    """Run a program that starts with `BEGIN`, with only three open descriptors."""
    done = subprocess.run(
        [sys.executable, "-IS", "-c", BEGIN + program], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_files_are_read_without_a_free_descriptor_once_standard_input_may_be_given_up() -> None:
    """Single files, and all processes in /proc."""
    run("""
    reserves.allow_giving_up_stdin()
    assert procfs.process(os.getpid()) and os.readlink("/proc/self/fd/0") == "/dev/null"  # still open
    take_descriptors_away()
    for _ in range(50):
        assert procfs.record("/proc/self/stat").startswith(b"%d (" % os.getpid())
    assert procfs.read("/proc/self/mountinfo")
    assert os.getpid() in [one.pid for one in procfs.processes()]
    child = os.fork() or os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert child in [one.pid for one in zombies.search() if one]
    """)


def test_listing_the_processes_can_be_the_first_use_of_the_reserve() -> None:
    """As a whole list, and entry by entry."""
    for look in ("procfs.processes()", "zombies._entries()"):
        run(f"""
    reserves.allow_giving_up_stdin()
    take_descriptors_away()
    assert list({look})
    """)


def test_standard_input_may_be_closed_already() -> None:
    """Then descriptor 0 is free, and a file that has got it is not closed."""
    run("""
    os.close(0)
    reserves.allow_giving_up_stdin()
    take_descriptors_away()
    fd = reserves.open_file("/proc/self/stat", os.O_RDONLY)
    assert fd == 0 and not os.get_inheritable(fd)
    """)


def test_another_file_in_the_place_of_standard_input_is_not_closed() -> None:
    """Standard input is given up only once."""
    run("""
    reserves.allow_giving_up_stdin()
    take_descriptors_away()
    assert reserves.open_file("/proc/self/stat", os.O_RDONLY) == 0
    try:
        reserves.open_file("/proc/self/status", os.O_RDONLY)
    except OSError as error:
        assert error.errno == errno.EMFILE
    else:
        raise AssertionError("it was opened")
    assert os.read(0, 3)
    """)


def test_standard_input_is_kept_unless_giving_it_up_is_allowed() -> None:
    """Before the start of the workload, it is still needed: the workload will inherit it."""
    run("""
    take_descriptors_away()
    assert procfs.record("/proc/self/stat") is None
    assert os.read(0, 1) == b""
    """)


def test_standard_input_is_not_given_up_for_a_missing_file() -> None:
    """It is given up only on EMFILE."""
    run("""
    reserves.allow_giving_up_stdin()
    try:
        reserves.open_file("/proc/none", os.O_RDONLY)
    except FileNotFoundError:
        pass
    assert os.read(0, 1) == b""
    """)


@pytest.mark.skipif(int(signal.SIGRTMIN) != 34, reason="opendir of musl needs so little memory that it has it")
@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="it keeps no room there: docs/design.md")
def test_folders_are_listed_without_memory() -> None:
    """Without memory, opendir(3) fails with ENOMEM, which is an OSError as for a missing folder."""
    for look in ("procfs.processes()", "zombies._entries()", "reserves.list_folder('/proc')"):
        run(f"""
    list({look})
    malloc = ctypes.CDLL(None).malloc  # from which opendir(3) has its memory; an interpreter may have its own
    with open("/proc/self/status") as status:
        used = int(status.read().partition("VmSize:")[2].split()[0]) * 1024
    resource.prlimit(0, resource.RLIMIT_AS, (used, used))
    while malloc(20_000):
        pass
    try:
        os.listdir("/proc")
    except OSError as error:
        assert error.errno == errno.ENOMEM
    else:
        raise AssertionError("there is memory")
    assert list({look})
    """)


def test_the_report_has_the_memory_that_was_kept_for_need() -> None:
    """Nothing comes after it that could use it, and to compose the report takes some."""
    run("""
    from types import SimpleNamespace
    from pyinit.options import Settings
    from pyinit.reporting import exit_report, report_end
    from pyinit.reporting.log import Log
    kept = []
    exit_report.write = lambda *_: kept.append(reserves.release_memory())
    settings = Settings()
    settings.exit_report = "always"
    report_end(SimpleNamespace(is_abnormal=False), settings, Log())
    assert kept == [False]
    """)
