"""What holds for all tests."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.junitxml import xml_key
from hypothesis import HealthCheck, settings

from testing import ROOT, coverage
from testing.surroundings import surroundings
from testing.waiting import SLOWNESS

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("pyinit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pyinit")


def pytest_sessionstart(session: pytest.Session) -> None:
    """With --junitxml, the results say what the tests were run on: docs/seen.md is made of them.

    record_testsuite_property(), a fixture, would not do: with pytest-xdist fixtures run where the file is not written.
    """
    if results := session.config.stash.get(xml_key, None):
        for name, value in surroundings().items():
            results.add_global_property(name, value)


def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` stands for: more than there are cores, since tests wait half of their time."""
    return 2 * len(os.sched_getaffinity(0)) + 1


LINES_RUN = "PYTEST_LINES_RUN"
"""The environment variable with the path of the file in which processes note the lines that they run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of ours."""
    parser.addoption("--quick", action="store_true", help="only what is quick: see pytest_collection_modifyitems")
    parser.addoption(
        "--coverage", action="store_true", help="print which lines of the core have run (testing.coverage)"
    )


PID_MAX = Path("/proc/sys/kernel/pid_max")
PIDS_FOR_CROWDS = 200_000
"""Several tests at a time may have 10,000 processes each."""


BEFORE = pytest.StashKey[str]()


def allow_crowds(config: pytest.Config) -> None:
    """Have enough pids on this machine until the end of the session."""
    before = PID_MAX.read_text()
    if os.geteuid() == 0 and not hasattr(config, "workerinput") and int(before) < PIDS_FOR_CROWDS:
        with suppress(OSError):  # in a container it may be read-only
            PID_MAX.write_text(str(PIDS_FOR_CROWDS))
            config.stash[BEFORE] = before


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before a worker starts, and before anything is imported."""
    config.addinivalue_line(
        "markers", "slow: takes more than five seconds on an idle machine; not part of `make quick`"
    )
    config.addinivalue_line("markers", "unmeasured: looks at what measuring coverage changes: memory, files, modules")
    if config.option.timeout is None:
        config.option.timeout = SLOWNESS * float(config.getini("timeout"))
    # As at the prompt: what is started with `&` in a script, or by nohup(1), inherits that some are ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    allow_crowds(config)
    if not config.option.coverage:
        return
    if LINES_RUN not in os.environ:
        file = Path(tempfile.mkdtemp(prefix="pyinit-coverage-"), "lines")
        file.parent.chmod(0o755)
        coverage.make_file(file)
        os.environ[LINES_RUN] = str(file)
    coverage.measure_this_process(Path(os.environ[LINES_RUN]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --quick, leave out what is marked as slow, and run each other test with its first parameters only."""
    if config.option.quick:
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        chosen = [item for item in first.values() if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen[::-1]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Restore the number of pids, and remove the file, if this is not one of several workers."""
    if before := config.stash.get(BEFORE, None):
        PID_MAX.write_text(before)
    if config.option.coverage and not hasattr(config, "workerinput"):
        shutil.rmtree(Path(os.environ.pop(LINES_RUN)).parent)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, once all tests have run, and name what should be explained if those of the core have."""
    if config.option.coverage:
        table, unexplained = coverage.table(Path(os.environ[LINES_RUN]))
        terminalreporter.section("coverage of the core")
        terminalreporter.write(table)
        if unexplained and {ROOT / "tests/unit", ROOT / "tests/namespace"} <= {
            Path(one).resolve() for one in config.args
        }:
            terminalreporter.write(f"\nno test has reached these lines, nor is a reason beside them:\n{unexplained}")


@pytest.fixture(scope="session")
def lines_run(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The file of `testing.coverage`, as this worker's installations know it; None: coverage is not measured."""
    if LINES_RUN not in os.environ:
        return None
    link = tmp_path_factory.mktemp("coverage") / "lines"
    link.parent.chmod(0o755)
    link.symlink_to(os.environ[LINES_RUN])
    return link


@pytest.fixture(autouse=True)
def _unmeasured(request: pytest.FixtureRequest, lines_run: Path | None) -> Iterator[None]:
    """Take the file away from a test that is marked so."""
    if lines_run and request.node.get_closest_marker("unmeasured"):
        target = lines_run.readlink()
        lines_run.unlink()
        yield
        lines_run.symlink_to(target)
    else:
        yield
