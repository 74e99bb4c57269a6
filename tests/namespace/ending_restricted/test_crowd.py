"""Ten thousand stragglers."""

import json
import struct
import time
from pathlib import Path

import pytest

from testing.compiler import compile_c
from testing.namespaces import Container
from testing.waiting import PATIENCE

from ..conftest import Start
from .conftest import SUBREAPER

# One at a time: pids are limited, and each test keeps the machine busy.
pytestmark = pytest.mark.slow

NUMBER = 10_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program."""
    source = Path(__file__).with_name("crowd.c").read_text()
    return str(compile_c(source, tmp_path_factory.mktemp("crowd") / "crowd"))


@pytest.mark.parametrize("place", ["PID 1", "subreaper"])
@pytest.mark.parametrize("whose", ["own", "nested"])
def test_ten_thousand_stragglers_are_all_asked_and_the_end_comes_at_once(
    start: Start, crowd: str, tmp_path: Path, place: str, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orphans, or children of an orphan that dies of SIGTERM: none has to be killed."""
    words = [crowd, str(NUMBER), str(tmp_path / "counts"), whose]
    before = SUBREAPER if place == "subreaper" else []
    options = ["--drain-timeout=300", "--exit-report=always", "--log-format=json"]
    monkeypatch.setattr(Container, "patience", 300 + PATIENCE)
    container = start(*options, "--", *words, before=before, stdin=-1)
    container.expect("ready")
    container.say()
    if place == "subreaper":
        container.expect("over 7")
        container.say()
    ended = container.end(patience=300 + PATIENCE)
    over = time.clock_gettime(time.CLOCK_MONOTONIC)
    _, asked, left, first, last = struct.unpack("5q", (tmp_path / "counts").read_bytes())
    took = over - left / 1e6
    print(f"first to last SIGTERM: {(last - first) / 1e6:.2f} s; until the end: {took:.2f} s")
    assert asked == NUMBER, ended.err[-1000:]
    assert took < 150
    report = json.loads(ended.err.splitlines()[-1])
    assert (report["status"], report["stragglers_killed"]) == (7, 0), report
    assert report["stragglers_ended"] == NUMBER + (whose == "nested"), report
