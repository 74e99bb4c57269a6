"""At the prompt: the manual pages as mandoc(1) shows them, and the completions of real shells."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from testing import ROOT, packages, terminals
from testing.waiting import PATIENCE

SHARE = ROOT / "share"

IN_BASH = """\
source {script}
COMP_WORDS=({words}) COMP_CWORD={last}
[[ $(complete -p {command}) =~ -F\\ ([^ ]+) ]]
"${{BASH_REMATCH[1]}}" {command} {word} 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

COMPLETED = [
    (["pyinit", "--dr"], "--drain-timeout"),
    (["pyinit", "-v", "--forward-to", "gr"], "group"),
    (["pyinit", "-p", "SIGTE"], "SIGTERM"),
    (["pyinit", "--user", "roo"], "root"),
    (["pyinit", "--termination-log", "/dev/nul"], "/dev/null"),
    (["pyinit", "-v", "unshar"], "unshare"),
    (["pyinit", "cat", "/etc/passw"], "/etc/passwd"),
    (["pyinitctl", "zom"], "zombies"),
    (["pyinitctl", "clear", "--term"], "--terminate-parent"),
    (["pyinitctl", "install", "/etc/passw"], "/etc/passwd"),
]
"""A command line, and a completion of its last word."""


@pytest.mark.parametrize("name", ["pyinit", "pyinitctl"])
def test_the_manual_page_is_well_formed(name: str) -> None:
    """mandoc(1) finds no error in it, and shows the options."""
    mandoc = packages.provide("mandoc", "mandoc")
    page = SHARE / "man" / "man1" / f"{name}.1"
    linted = subprocess.run([mandoc, "-T", "lint", "-W", "error", page], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout) == (0, "")
    shown = subprocess.run([mandoc, "-T", "utf8", page], capture_output=True, text=True, check=True).stdout
    plain = re.sub(".\b", "", shown)
    assert plain.startswith(f"{name.upper()}(1)")
    for words in {"pyinit": ("-t SECONDS, --stop-timeout SECONDS", "EXIT STATUS"), "pyinitctl": ("--dry-run",)}[name]:
        assert words in plain


@pytest.mark.parametrize(("words", "expected"), COMPLETED)
def test_bash_completes(words: list[str], expected: str) -> None:
    """As it does on Tab: by the function that the script registers."""
    command, word = words[0], words[-1]
    script = SHARE / "bash-completion" / "completions" / command
    lines = IN_BASH.format(
        script=shlex.quote(str(script)), words=shlex.join(words), last=len(words) - 1, command=command, word=word
    )
    done = subprocess.run(["bash", "--norc", "-c", lines], capture_output=True, text=True)
    assert expected in done.stdout.splitlines(), done


@pytest.fixture(scope="module")
def fish() -> Callable[[str], list[str]]:
    """The completions that fish offers for a line."""
    path = packages.provide("fish", "fish", with_recommended=False)
    scripts = [shlex.quote(str(file)) for file in (SHARE / "fish" / "vendor_completions.d").iterdir()]

    def offers(line: str) -> list[str]:
        lines = [*(f"source {script}" for script in scripts), f"complete --do-complete {shlex.quote(line)}"]
        done = subprocess.run(
            [path, "--no-config", "--command", "\n".join(lines)], capture_output=True, text=True, check=True
        )
        return [offer.partition("\t")[0] for offer in done.stdout.splitlines()]

    return offers


@pytest.mark.parametrize(("words", "expected"), COMPLETED)
def test_fish_completes(fish: Callable[[str], list[str]], words: list[str], expected: str) -> None:
    """By `complete --do-complete`, which Tab uses."""
    assert expected in fish(shlex.join(words))


@pytest.mark.parametrize(("words", "expected"), COMPLETED)
def test_zsh_completes(words: list[str], expected: str, tmp_path: Path) -> None:
    """Typed into a terminal, with Tab, because zsh offers no other way."""
    path = packages.provide("zsh", "zsh", with_recommended=False)
    environment = {"TERM": "dumb", "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    zsh = pexpect.spawn(path, ["-f", "-i"], env=environment, encoding="utf-8", dimensions=(40, 200), timeout=PATIENCE)
    try:
        zsh.sendline(f"PROMPT='at''work> ' fpath=({shlex.quote(str(SHARE / 'zsh' / 'site-functions'))} $fpath)")
        zsh.expect_exact("atwork> ")
        zsh.sendline("autoload -Uz compinit; compinit -D -u; echo rea''dy")
        zsh.expect_exact("ready\r\n")
        zsh.expect_exact("atwork> ")
        zsh.send(shlex.join(words) + "\t")
        zsh.expect_exact(shlex.join([*words[:-1], expected]))
    finally:
        terminals.end(zsh)
