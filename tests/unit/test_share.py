"""`pyinitctl install --man --completions`: which files go where."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from pyinit.ctl import share
from testing import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy, for the compiled file is written into it."""
    copytree(ROOT / "pyinit", tmp_path / "tree" / "pyinit", ignore=ignore_patterns("__pycache__", "compiled.*.zip"))
    copytree(ROOT / "share", tmp_path / "tree" / "share")
    (tmp_path / "bin").mkdir()
    return tmp_path / "tree"


def install(checkout: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyinit.ctl", "install", *words], cwd=checkout, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("options", "names", "where"),
    [
        (["--man"], share.MANUALS, "man/man1"),
        (["--completions"], share.COMPLETIONS, ""),
        (["--man", "--completions"], share.MANUALS + share.COMPLETIONS, ""),
    ],
)
@pytest.mark.parametrize("target", ["bin", "bin/pyinit"])
def test_they_go_beside_the_folder_of_the_launcher(
    checkout: Path, tmp_path: Path, options: list[str], names: tuple[str, ...], where: str, target: str
) -> None:
    """Readable for all, and once more without a complaint."""
    for _ in range(2):
        done = install(checkout, *options, tmp_path / target)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"wrote {len(names)} files into {tmp_path / 'share' / where}\n" in done.stdout
    written = [file for file in (tmp_path / "share").rglob("*") if file.is_file()]
    assert sorted(written) == sorted(tmp_path / "share" / name for name in names)
    for name in names:
        assert (tmp_path / "share" / name).read_bytes() == (ROOT / "share" / name).read_bytes()
        assert (tmp_path / "share" / name).stat().st_mode & 0o777 == 0o644


def test_without_them_nothing_is_written(checkout: Path, tmp_path: Path) -> None:
    """As in the image of pyinit, which has the package alone."""
    (checkout / "share").rename(tmp_path / "elsewhere")
    done = install(checkout, "--man", tmp_path / "bin")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pyinitctl: cannot install: the manual pages and completions did not come with ")
    assert not list((tmp_path / "bin").iterdir())


def test_beside_a_folder_of_the_root_they_go_to_usr() -> None:
    """Nobody looks into /share."""
    assert list(share.beside(Path("/nowhere"), share.MANUALS[:1])) == [Path("/usr/share/man/man1/pyinit.1")]
