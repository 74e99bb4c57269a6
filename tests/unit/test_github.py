"""What GitHub reads is what it takes: by the schemas that check-jsonschema brings along."""

import subprocess
import sys

import pytest

from testing import ROOT

FOLDER = ROOT / ".github"


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", "workflows/*.yml"),
        ("github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
        ("github-issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("dependabot", "dependabot.yml"),
    ],
)
def test_a_file_for_github_is_valid(schema: str, files: str) -> None:
    """Nothing is fetched for it."""
    found = list(FOLDER.glob(files))
    assert found
    words = ["-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, found)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
