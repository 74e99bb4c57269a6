"""A program from another image, in this one."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from testing import packages
from testing.base_images import ALPINE
from testing.containers import Containers, ended

pytestmark = pytest.mark.each_base

SOURCE = "int main(void) { return 0; }\n"


def test_a_program_built_for_another_c_library_is_explained(containers: Containers, base: str, tmp_path: Path) -> None:
    """It may be copied from Alpine to Debian, or from Debian to Alpine: its dynamic loader does not exist."""
    if base == ALPINE:
        compiler, library = packages.provide("gcc", "gcc"), "glibc (as Debian, Ubuntu and Fedora have it)"
    else:
        compiler, library = packages.provide("musl-gcc", "musl-tools"), "musl (as Alpine Linux has it)"
    (tmp_path / "program.c").write_text(SOURCE)
    subprocess.run([compiler, "-o", tmp_path / "program", tmp_path / "program.c"], check=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(tmp_path / "program", "program")
    container = containers.create("/usr/local/bin/program")
    container.put_archive("/usr/local/bin", packed.getvalue())
    container.start()
    end = ended(container)
    assert end.status == 127
    assert end.errors.startswith("pyinit: cannot execute '/usr/local/bin/program': its dynamic loader '/lib"), end
    assert f"does not exist: it is built for {library}, 64-bit" in end.errors


def test_line_ends_of_windows_are_named(containers: Containers) -> None:
    """A script that was checked out on Windows, with --user and without."""
    script = io.BytesIO()
    text = b"#!/usr/local/bin/python3\r\nprint(1)\r\n"
    with tarfile.open(fileobj=script, mode="w") as archive:
        member = tarfile.TarInfo("run.py")
        member.size, member.mode = len(text), 0o755
        archive.addfile(member, io.BytesIO(text))
    for options in ([], ["-u", "1000:1000"]):
        container = containers.create(*options, "/run.py", entrypoint=["pyinit"])
        container.put_archive("/", script.getvalue())
        container.start()
        end = ended(container)
        assert end.status == 127
        assert r"its interpreter '/usr/local/bin/python3\r' does not exist: a carriage return (\r) ends" in end.errors
