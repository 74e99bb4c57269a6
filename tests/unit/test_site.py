"""The documentation as a site: `make docs`."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from mkdocs.config import load_config
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from pages import site
from testing import ROOT


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """Strictly: a link or an anchor that is not there fails, and so does a page that is in no menu."""
    words = ["build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "mkdocs", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "<title>Options and exit statuses - pyinit</title>" in (tmp_path / "options" / "index.html").read_text()


@pytest.mark.parametrize(
    ("link", "written"),
    [
        ("../examples/never_joins.py", "https://example.org/blob/main/examples/never_joins.py"),
        ("../bench/probes", "https://example.org/tree/main/bench/probes"),
        ("../CONTRIBUTING.md#the-house", "https://example.org/blob/main/CONTRIBUTING.md#the-house"),
        ("options.md", "options.md"),
    ],
)
def test_a_link_out_of_docs_leads_to_the_repository(link: str, written: str) -> None:
    """To a file or a folder, wherever the repository is."""
    assert shown(f"See [it]({link}).") == f"See [it]({written})."


@pytest.mark.parametrize("link", ["../examples/nothing.py", "../CONTRIBUTING.md#nothing"])
def test_a_link_to_nothing_is_a_warning(link: str, caplog: pytest.LogCaptureFixture) -> None:
    """So the strict build fails."""
    with caplog.at_level(logging.WARNING, site.LOG.name):
        shown(f"See [it]({link}).")
    assert f"page.md has a link to {link}, which does not exist" in caplog.messages


def test_a_bar_in_code_is_shown_without_the_escape_that_github_needs() -> None:
    """In a row of a table; elsewhere it stands for itself."""
    assert shown("| `a\\|b` | c\\|d |") == "| `a|b` | c\\|d |"
    assert shown("`a\\|b`") == "`a\\|b`"


@pytest.mark.parametrize(
    ("html", "written"),
    [
        ("<code>a -v --user=b</code>", "<code>a {-v} {--user}=b</code>"),
        ('<code>["a-b", "--"]</code>', '<code>["a-b", "{--"]}</code>'),
        ("<pre><span></span><code>a -v</code></pre>", "<pre><span></span><code>a -v</code></pre>"),
    ],
)
def test_the_dashes_of_an_option_are_marked(html: str, written: str) -> None:
    """So that no line ends between them and the option; a block keeps its own lines."""
    config = load_config(str(ROOT / "mkdocs.yml"))
    page = Page(None, File("page.md", config.docs_dir, config.site_dir, config.use_directory_urls), config)
    marked = written.replace("{", '<span class="dashes">').replace("}", "</span>")
    assert site.on_page_content(html, page, config, Files([])) == marked


def shown(markdown: str) -> str:
    """What MkDocs gets in place of this page."""
    config = load_config(str(ROOT / "mkdocs.yml"))
    config.repo_url = "https://example.org"
    file = File("page.md", config.docs_dir, config.site_dir, config.use_directory_urls)
    return site.on_page_markdown(markdown, Page(None, file, config), config, Files([]))
