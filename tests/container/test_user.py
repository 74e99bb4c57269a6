"""The workload as another user than pyinit, with the standard streams of an engine."""

from typing import Any

import pytest

from testing.containers import Containers

pytestmark = pytest.mark.each_base

PROGRAM = "id -u; echo to output >/dev/stdout; echo to error >/dev/stderr; echo to the same >/proc/self/fd/1"


@pytest.mark.parametrize(
    "options", [{}, {"read_only": True}, {"cap_drop": ["ALL"], "cap_add": ["CHOWN", "SETUID", "SETGID"]}], ids=str
)
def test_standard_output_and_error_can_be_opened(containers: Containers, options: dict[str, Any]) -> None:
    """By their paths, as nginx and php-fpm are configured. The engine's pipes belong to root."""
    end = containers.run("--user=nobody", "--", "sh", "-c", PROGRAM, entrypoint=["pyinit"], **options)
    assert (end.status, end.output, end.errors) == (0, "65534\nto output\nto the same\n", "to error\n")


def test_a_terminal_can_be_opened(containers: Containers) -> None:
    """With ``docker run -t`` all streams are one terminal, which belongs to root."""
    end = containers.run("--user=nobody", "--", "sh", "-c", PROGRAM, entrypoint=["pyinit"], tty=True)
    assert (end.status, end.output.split("\r\n")) == (0, ["65534", "to output", "to error", "to the same", ""])
