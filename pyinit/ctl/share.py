"""The files of ``share`` that come with the package: manual pages, and completions for shells."""

from pathlib import Path

from pyinit.ctl.compiled import PACKAGE

MANUALS = ("man/man1/pyinit.1", "man/man1/pyinitctl.1")
COMPLETIONS = (
    "bash-completion/completions/pyinit",
    "bash-completion/completions/pyinitctl",
    "fish/vendor_completions.d/pyinit.fish",
    "fish/vendor_completions.d/pyinitctl.fish",
    "zsh/site-functions/_pyinit",
    "zsh/site-functions/_pyinitctl",
)


def beside(programs: Path, names: tuple[str, ...]) -> dict[Path, bytes]:
    """These files, by where they go if the programs are in that folder: ``/usr/local/share`` for ``/usr/local/bin``.

    Raises:
        ValueError: they did not come with the package.
        OSError: they cannot be read.
    """
    source = _folder()
    prefix = programs.resolve().parent
    target = (Path("/usr") if prefix == prefix.parent else prefix) / "share"  # nobody looks into /share
    return {target / name: (source / name).read_bytes() for name in names}


def _folder() -> Path:
    """Where they are: beside the package, as in a checkout, or where pip has put them."""
    checkout = PACKAGE.parent / "share"
    if (checkout / MANUALS[0]).is_file():
        return checkout
    import importlib.metadata  # it takes its time, and most have a checkout or no use for it

    try:
        files = importlib.metadata.files("pyinit-pid1") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file).endswith(f"share/{MANUALS[0]}"):
            return Path(str(file.locate())).resolve().parents[2]
    raise ValueError(f"the manual pages and completions did not come with {PACKAGE}")
