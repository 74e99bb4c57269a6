"""docs/what-happens.md: its table shows what `bench.ends` measures, for the inits that start quickly."""

import json
import os
from pathlib import Path

import pytest

from bench import end_inits, ends
from testing.blocks import block, blocks
from testing.namespaces import UNSHARE

MEASURED = ("none", "tini", "dumb-init", "pyinit")


def test_the_page_shows_how_each_init_is_started(tmp_path: Path) -> None:
    """With the command that `bench.ends` gives a PID namespace, as the lines of an image."""
    with end_inits.provided(MEASURED) as inits:
        for init in inits:
            *words, program = init.command("/start.sh", tmp_path)[len(UNSHARE) :]
            entry = f"ENTRYPOINT {json.dumps([Path(words[0]).name, *words[1:]])}\n" if words else ""
            assert f'{entry}CMD ["/start.sh"]\n' in blocks(ends.PAGE) and program == "/start.sh"
    unit = end_inits.UNITS["work.service"].format(program="/start.sh", folder=tmp_path, kill_mode="mixed").split()
    assert set(block(ends.PAGE, "[Service]").split()) <= set(unit)


def rows(table: str) -> dict[str, list[str]]:
    """The cells of each row by its first, without the last: the seconds differ from run to run."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {name: others for name, *others, _ in cells}


@pytest.fixture(scope="module")
def endings() -> list[ends.Ending]:
    """The end of the same container under each of these inits."""
    if not hasattr(os, "pidfd_open"):
        pytest.skip("the bench watches processes by pidfds, which this Python was built without")
    with end_inits.provided(MEASURED) as inits:
        return ends.measure_all(inits, at_once=len(inits))


@pytest.mark.slow  # they are measured once
def test_each_init_loses_what_the_page_says(endings: list[ends.Ending]) -> None:
    """Cell by cell."""
    shown = rows(ends.measured(ends.PAGE.read_text())["all"])
    assert {name: shown[name] for name in MEASURED} == {
        ending.init: rows(ending.row())[ending.init] for ending in endings
    }


@pytest.mark.slow
def test_under_pyinit_each_process_ends_by_itself_or_is_asked_once(endings: list[ends.Ending]) -> None:
    """pyinit exits with the last process, long before the drain timeout."""
    ending = endings[MEASURED.index("pyinit")]
    assert not ending.lost
    assert {one.name: len(one.asked) for one in ending.processes if one.asked} == {
        "master": 1,
        "application": 1,
        "daemon": 1,
    }, ending.diagram()
    assert [one.name for one in ending.processes if one.killed_by] == ["start.sh"], ending.diagram()
