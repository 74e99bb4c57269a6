"""Hooks for MkDocs: the address of the repository, and links to files in it."""

import logging
import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

LOG = logging.getLogger("mkdocs.hooks.site")
"""With --strict a warning ends the build."""

OUTSIDE = re.compile(r"\]\(\.\./(?P<path>[^)#]+)(?P<anchor>#[^)]*)?\)")
"""A link from a page to a file of the repository that is not a page."""

SLUG = slugify(case="lower")
"""Makes the anchor of a heading, as GitHub does."""

CODE = re.compile(r"`[^`]+`")

INLINE = re.compile(r"(?<!<span></span>)<code>[^<]+</code>")
"""Code in a sentence or a table. The code of a block follows an empty span."""

DASHES = re.compile(r"(?<![\w-])--?(?:\w+|\"\]?)")
"""The dashes of an option with its first word, or with the end of a list: a browser would break the line after them."""

ROOT = Path(__file__).resolve().parents[1]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the address of the repository from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    config.repo_url = project["urls"]["Source"]
    config.repo_name = config.site_name
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files outside of docs/ into links to the repository; warn of a file that does not exist."""

    def in_repository(link: re.Match[str]) -> str:
        path = ROOT / link["path"]
        if not path.exists() or (link["anchor"] and link["anchor"] not in _anchors(path)):
            LOG.warning("%s has a link to %s, which does not exist", page.file.src_uri, link[0][2:-1])
        return f"]({config.repo_url}/{'tree' if path.is_dir() else 'blob'}/main/{link['path']}{link['anchor'] or ''})"

    lines = OUTSIDE.sub(in_repository, markdown).split("\n")
    return "\n".join(_unescaped(line) if line.startswith("|") else line for line in lines)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mark the dashes of options, for extra.css to keep with the word after them."""
    return INLINE.sub(lambda code: DASHES.sub(r'<span class="dashes">\g<0></span>', code[0]), html)


def _anchors(path: Path) -> set[str]:
    """The anchors of the headings of a file in Markdown."""
    return {f"#{SLUG(heading, '-')}" for heading in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)}


def _unescaped(row: str) -> str:
    """A row of a table with plain bars in code. GitHub needs them escaped; Python-Markdown would show the escapes."""
    return CODE.sub(lambda code: code[0].replace("\\|", "|"), row)
