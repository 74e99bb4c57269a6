"""Building a tree of processes, even if their parents make no sense."""

from hypothesis import given
from hypothesis import strategies as st

from pyinit.ctl import tree
from pyinit.kernel import procfs


def seen(pid: int, parent: int, started: int = 0) -> procfs.Process:
    """A process as /proc shows it."""
    return procfs.Process(b"%d (x) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0" % (pid, parent, started))


PIDS = st.integers(1, 12)


@given(st.dictionaries(PIDS, st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=12))
def test_every_process_is_in_the_tree_once(parents: dict[int, tuple[int, int]]) -> None:
    """Even with missing parents, processes that are their own parent, and circles."""
    family = tree.forest([seen(pid, *rest) for pid, rest in parents.items()])
    assert sorted(node.process.pid for node in family) == sorted(parents)
    below = [child for node in family for child in node.children]
    tops = [node for node in family if node.generation == 0]
    assert sorted(node.process.pid for node in [*tops, *below]) == sorted(parents)
    for node in family:
        assert all(child.generation == node.generation + 1 for child in node.children)
        assert all(family.index(child) > family.index(node) for child in node.children)


def test_a_process_is_not_a_child_of_a_younger_one() -> None:
    """The younger one has reused the pid of a parent that has exited."""
    family = tree.forest([seen(1, 0), seen(7, 1, started=20), seen(8, 7, started=10)])
    assert {node.process.pid: node.generation for node in family} == {1: 0, 7: 1, 8: 0}


def test_a_circle_is_entered_once() -> None:
    """Its first process then has no parent."""
    family = tree.forest([seen(1, 0), seen(2, 3), seen(3, 2), seen(4, 4)])
    assert [(node.process.pid, node.generation) for node in family] == [(1, 0), (2, 0), (3, 1), (4, 0)]


def test_only_groups_of_several_processes_are_folded() -> None:
    """The others stay in the order of their start."""
    nodes = tree.forest([seen(pid, 0, started=pid) for pid in range(1, 7)])
    for node, kind in zip(nodes, [1, 2, 1, 2, 1, 3], strict=True):
        node.kind = kind
    groups = [[node.process.pid for node in group] for group in tree.folded(nodes)]
    assert groups == [[1, 3, 5], [2], [4], [6]]
