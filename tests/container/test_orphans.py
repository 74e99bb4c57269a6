"""Orphans in a container: with pyinit none of them remains as a zombie."""

import pytest

from testing import EXAMPLES
from testing.containers import Containers, await_output, processes
from testing.waiting import eventually

ORPHANS = 200
# The inner shell exits at once. Each sleep is an orphan then, and dies a moment later.
LEAKS = f"for i in $(seq {ORPHANS}); do (sleep 0.$((i % 10)) &); done; echo ready; exec sleep 100"


def test_every_orphan_is_reaped(containers: Containers) -> None:
    """In the end there are only PID 1 and its workload."""
    container = containers.start("sh", "-c", LEAKS)
    await_output(container, "ready")
    eventually(lambda: processes(container), holds=lambda seen: len(seen) <= 2)


def test_orphans_stay_as_zombies_without_an_init(containers: Containers) -> None:
    """This checks the test above: the same workload as PID 1 keeps all of them."""
    container = containers.start("sh", "-c", LEAKS, entrypoint=[])
    await_output(container, "ready")
    eventually(
        lambda: [process.state for process in processes(container)[1:]], holds=lambda states: set(states) == {"Z"}
    )


def test_killed_docker_exec_leaves_no_orphan(containers: Containers) -> None:
    """Processes that `docker exec` started and left behind are re-parented to PID 1, too."""
    container = containers.start_sleeper()
    container.exec_run(["sh", "-c", "(sleep 0.2 &); (sleep 0.1 &)"])
    eventually(lambda: processes(container), holds=lambda seen: len(seen) <= 2)


@pytest.mark.parametrize("example", ["never_joins.py", "reaps_on_sigchld.py"])
def test_example_does_what_it_says(containers: Containers, example: str) -> None:
    """A zombie whose parent runs stays under every init. A parent that reaps has none."""
    container = containers.start(
        *("python3", f"/examples/{example}"), volumes={str(EXAMPLES): {"bind": "/examples", "mode": "ro"}}
    )
    expected = ["Z"] if example == "never_joins.py" else []
    await_output(container, "parent: ")
    eventually(lambda: [process.state for process in processes(container)[2:]], holds=lambda states: states == expected)
