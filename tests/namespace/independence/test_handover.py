"""From the workload's first moment PID 1 holds nothing of the workload's, and the workload gets nothing of PID 1's."""

import subprocess
from pathlib import Path

import pytest

from testing.namespaces import Container
from testing.processes import descriptors
from testing.waiting import eventually

from .conftest import Begin, Installation

RUNS, AT_ONCE = 40, 4

O_CLOEXEC = 0o2000000


@pytest.mark.parametrize("is_pid_1", [True, False], ids=["PID 1", "subreaper"])
def test_the_working_directory_is_the_root_from_the_first_moment(
    begin: Begin, installations: dict[str, Installation], actor: str, tmp_path: Path, is_pid_1: bool
) -> None:
    """The workload looks at it first, in each of many runs. pyinit's parent has another one."""
    seen = []
    for number in range(RUNS // AT_ONCE):
        kind = "sources" if number % 5 == 4 else "installed"
        words = ["--", actor, "show-parents-folder"]
        together = [
            begin(installations[kind], *words, is_pid_1=is_pid_1, cwd=tmp_path) for _ in range(AT_ONCE)
        ]  # fmt: skip
        seen += [container.end().out for container in together]
    others = [out for out in seen if out != "/\n"]
    assert not others, f"{len(others)} of {len(seen)} runs, the first: {others[0]!r}"


INHERITING = ["bash", "-c", 'exec 7</dev/null 77>/dev/null 3<>/dev/null && exec "$0" "$@"']
"""Opens descriptors that pyinit inherits and must hand over."""


def inheriting(begin: Begin, installation: Installation, actor: str, is_pid_1: bool) -> tuple[Container, list[int]]:
    """A container whose pyinit has inherited descriptors, and the workload's descriptors from 3 on."""
    acts = ["show-descriptors", "say", "ready", "await-line"]
    container = begin(
        installation, "-vv", "--", actor, *acts, before=INHERITING, is_pid_1=is_pid_1, stdin=subprocess.PIPE
    )
    seen: list[int] = []
    while (line := container.line()) != "ready":
        assert line, f"the workload did not list its descriptors: {seen}, {container.end()}"
        seen.append(int(line))
    return container, seen


@pytest.mark.parametrize("is_pid_1", [True, False], ids=["PID 1", "subreaper"])
@pytest.mark.parametrize("kind", ["installed", "sources", "site-packages"])
def test_the_workload_gets_what_was_inherited_and_nothing_of_pyinits(
    begin: Begin, installations: dict[str, Installation], actor: str, kind: str, is_pid_1: bool
) -> None:
    """Neither its compiled file nor any other file that it keeps open."""
    container, seen = inheriting(begin, installations[kind], actor, is_pid_1)
    assert seen == [3, 7, 77]
    container.say()
    assert container.end().status == 0


@pytest.mark.parametrize("is_pid_1", [True, False], ids=["PID 1", "subreaper"])
@pytest.mark.parametrize("kind", ["installed", "sources", "site-packages"])
def test_what_was_inherited_is_closed_and_what_is_kept_is_not_handed_on(
    begin: Begin, installations: dict[str, Installation], actor: str, kind: str, is_pid_1: bool
) -> None:
    """Each descriptor above 2 is pyinit's own, and has FD_CLOEXEC."""
    container, _ = inheriting(begin, installations[kind], actor, is_pid_1)
    init = container.init
    eventually(
        lambda: "/dev/null" not in descriptors(init).values(),
        f"the inherited descriptors are closed: {descriptors(init)}",
    )
    for number, target in descriptors(init).items():
        try:
            flags = int(Path(f"/proc/{init}/fdinfo/{number}").read_text().split("flags:")[1].split()[0], 8)
        except FileNotFoundError:  # a file that was closed again
            continue
        assert flags & O_CLOEXEC, f"{number}, {target}, would be inherited"
    container.say()
    assert container.end().status == 0
