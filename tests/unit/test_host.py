"""To which container `pyinitctl host` adds a zombie."""

import os
from collections.abc import Iterable

import pytest

from pyinit.ctl import containers, host, picture
from pyinit.ctl.ages import Age
from pyinit.ctl.containers import Container
from pyinit.ctl.host import Entry, Place
from pyinit.ctl.picture import Kind, Picture, Verdict, Zombie
from pyinit.kernel import procfs
from pyinit.reporting.zombies import Neglect

HIGHEST = 1 << 22
"""No process of the kernel has this pid."""

AGE = Age(1.0, is_exact=True)


def process(pid: int, parent: int, started: int, state: str = "S") -> procfs.Process:
    """What /proc would say of such a process."""
    return procfs.Process(b"%d (x) %c %d%s 1 0 %d%s" % (pid, ord(state), parent, b" 0" * 15, started, b" 0" * 20))


def entries_with(
    monkeypatch: pytest.MonkeyPatch, zombie: procfs.Process, others: Iterable[procfs.Process], of: Container | None
) -> dict[Place, Entry]:
    """The entries after the zombie, which belongs to this container, has been added."""
    neglect = Neglect(zombie.parent, False)
    neglect.zombies.append(zombie)
    verdict = Verdict(Kind.UNREAPED, neglect, "x", AGE, "")
    monkeypatch.setattr(picture, "take", lambda *_: Picture([Zombie(zombie, Kind.UNREAPED, AGE)], [verdict]))
    monkeypatch.setattr(containers.Containers, "of_zombie", lambda self, zombie: of)
    entries: dict[Place, Entry] = {None: Entry()}
    host._add_zombies(entries, containers.Containers(), {one.pid: one for one in (*others, zombie)}, "own")
    return entries


def test_a_container_with_zombies_alone_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its PID 1 has ended, and the process that should wait for it does not."""
    container = Container("docker", "0123456789ab")
    entries = entries_with(monkeypatch, process(HIGHEST + 1, os.getpid(), 1, "Z"), [], container)
    assert {place: len(entry.zombies) for place, entry in entries.items()} == {None: 0, container: 1}
    assert entries[container].name == "docker 0123456789ab"
    text = host._as_text(list(entries.values()))
    assert "\ndocker 0123456789ab  -      -       -" in text
    assert text.endswith("\n1 container, 0 with pyinit; 1 zombie")


@pytest.mark.timeout(60)
def test_parents_in_a_circle_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent has exited while we looked, and a child of its child has got its pid."""
    child, grandchild = process(HIGHEST + 1, HIGHEST + 2, 100), process(HIGHEST + 2, HIGHEST + 1, 200)
    zombie = process(HIGHEST + 3, HIGHEST + 1, 300, "Z")
    assert len(entries_with(monkeypatch, zombie, [child, grandchild], None)[None].zombies) == 1
