"""Writes all of these files: `python -m pages`, or `make pages`."""

from pathlib import Path

from pages import completions, manuals, options
from testing import ROOT


def texts() -> dict[Path, str]:
    """The files and their texts."""
    return {
        ROOT / "docs" / "options.md": options.page(),
        **{ROOT / "share" / name: text for name, text in (manuals.pages() | completions.scripts()).items()},
    }


if __name__ == "__main__":
    for file, text in texts().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
