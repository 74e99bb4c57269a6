"""The status of the container is the workload's, or one that says why no workload was started."""

import pytest

from testing.containers import Containers, stopped


@pytest.mark.parametrize("status", [0, 1, 3, 125, 255])
def test_container_ends_with_the_status_of_the_workload(containers: Containers, status: int) -> None:
    """And without a message."""
    end = containers.run("sh", "-c", f"exit {status}")
    assert (end.status, end.errors) == (status, "")


@pytest.mark.each_base
def test_workload_that_dies_of_a_signal_counts_128_more(containers: Containers) -> None:
    """128+N, as shells count."""
    assert containers.run("sh", "-c", "kill -KILL $$").status == 137


def test_docker_stop_of_an_ordinary_workload_ends_in_143(containers: Containers) -> None:
    """TERM reaches the workload, which dies of the signal."""
    container = containers.start_sleeper()
    assert stopped(container).status == 143


@pytest.mark.each_base
def test_program_that_is_not_found_ends_in_127(containers: Containers) -> None:
    """As with `docker run` itself. One line names the program."""
    end = containers.run("no-such-program")
    assert end.status == 127
    assert end.errors.startswith("pyinit: ") and end.errors.count("\n") == 1 and "no-such-program" in end.errors


@pytest.mark.each_base
def test_program_that_cannot_be_executed_ends_in_126(containers: Containers) -> None:
    """Found, but not executable: one line says so."""
    end = containers.run("/etc/passwd")
    assert end.status == 126
    assert end.errors.startswith("pyinit: ") and end.errors.count("\n") == 1 and "/etc/passwd" in end.errors


@pytest.mark.each_base
def test_wrong_usage_ends_in_125(containers: Containers) -> None:
    """pyinit's own failure: one line names what was wrong."""
    end = containers.run("--no-such-option", "true", entrypoint=["pyinit"])
    assert end.status == 125
    assert end.errors.startswith("pyinit: ") and end.errors.count("\n") == 1 and "--no-such-option" in end.errors


def test_no_program_ends_in_125_with_the_usage(containers: Containers) -> None:
    """The image has no command of its own."""
    end = containers.run()
    assert end.status == 125
    assert end.errors.startswith("pyinit: no program given; see pyinit --help\nUsage: pyinit ")
    assert end.errors.count("\n") == 3
