"""The Python API: its keywords."""

import ast
from pathlib import Path

import pytest

import pyinit
from pyinit import api
from pyinit.options.table import TABLE


def declared() -> set[str]:
    """The keywords in the type annotations."""
    tree = ast.parse(Path(api.__file__).read_text())
    [keywords] = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Keywords"]
    return {
        node.target.id
        for node in keywords.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def test_the_keywords_are_the_long_options() -> None:
    """All except those that print something and exit."""
    assert declared() == {row.long.replace("-", "_") for row in TABLE} - {"help", "license", "version"}


@pytest.mark.parametrize(
    ("keywords", "flags"),
    [
        ({}, []),
        ({"drain_timeout": 10, "stop_timeout": 0.1}, ["--drain-timeout=10", "--stop-timeout=0.100000000"]),
        ({"zombie_watch": 1e-5}, ["--zombie-watch=0.000010000"]),
        ({"session": True, "quiet": False, "user": None}, ["--session"]),
        ({"verbose": 3}, ["--verbose"] * 3),
        ({"verbose": True}, ["--verbose"]),
        ({"rewrite": ["TERM:QUIT", "HUP:0"]}, ["--rewrite=TERM:QUIT", "--rewrite=HUP:0"]),
        ({"remap_exit": 143}, ["--remap-exit=143"]),
        ({"remap_exit": (143, "130:1")}, ["--remap-exit=143", "--remap-exit=130:1"]),
        ({"parent_death_signal": 15}, ["--parent-death-signal=15"]),
        ({"termination_log": Path("/dev/termination-log")}, ["--termination-log=/dev/termination-log"]),
        ({"termination_log": b"/dev/termination-log"}, ["--termination-log=/dev/termination-log"]),
    ],
)
def test_keywords_become_options_of_the_command_line(keywords: dict[str, object], flags: list[str]) -> None:
    """Each value is written as the option expects it."""
    assert api._read("run", keywords, ["program"])[0] == flags


def test_the_package_has_only_the_public_functions() -> None:
    """They are loaded at the first access, and documented."""
    assert pyinit.run is api.run
    assert pyinit.relaunch_if_pid1 is api.relaunch_if_pid1
    assert dir(pyinit) == ["__version__", "relaunch_if_pid1", "run"]
    assert all(function.__doc__ and "Raises:" in function.__doc__ for function in (pyinit.run, pyinit.relaunch_if_pid1))
    with pytest.raises(AttributeError, match="module 'pyinit' has no attribute 'start'"):
        pyinit.start  # type: ignore[attr-defined]  # noqa: B018
