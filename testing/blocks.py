"""The files and fragments on the pages of the documentation: fenced Dockerfiles, compose files, programs."""

from pathlib import Path

from testing.commands import FENCE

OTHERS = ("console", "text")
"""Commands, which testing.commands knows, and output."""


def blocks(page: Path) -> list[str]:
    """The text of each, in order."""
    return [found[2] for found in FENCE.finditer(page.read_text()) if found[1] not in OTHERS]


def block(page: Path, words: str) -> str:
    """The only one that contains these words."""
    [found] = [text for text in blocks(page) if words in text]
    return found


GUNICORN, INSTALL = "container/applications/test_gunicorn.py", "container/test_install.py"
BLOCKS, COMPOSE = "container/test_blocks.py", "container/test_compose.py"
API, ENDINGS = "namespace/test_api.py", "namespace/test_what_happens.py"

HOW = {
    "README.md": {
        'CMD ["gunicorn", "app:app"]': GUNICORN,
        "RUN pip install pyinit-pid1": INSTALL,
        "COPY --from=pyinit ": INSTALL,
        "build: .": COMPOSE,
    },
    "index.md": {'CMD ["gunicorn", "app:app"]': GUNICORN},
    "install.md": {
        "FROM pyinit": INSTALL,
        "COPY --from=pyinit ": INSTALL,
        "unpack_archive": INSTALL,
        "RUN pip install pyinit-pid1": INSTALL,
        "&& pyinitctl install /usr/local/bin": INSTALL,
        "-m venv /venv": INSTALL,
        "-m zipfile": INSTALL,
        "FROM company/python": INSTALL,
    },
    "kubernetes.md": {'args: ["gunicorn", "app:app"]': GUNICORN},
    "migrating.md": {
        "apt-get install -y tini": INSTALL,
        "RUN pip install pyinit-pid1": INSTALL,
        "RUN ln -s pyinit": BLOCKS,
        "[Service]": "machine/test_systemd_unit.py",
    },
    "pyinitctl.md": {"HEALTHCHECK": BLOCKS},
    "python.md": {
        "ENV PYTHONPATH": GUNICORN,
        "pyinit.relaunch_if_pid1()": API,
        "stop_timeout=5": API,
        "asyncio.run(": API,
        "stop_timeout=6": API,
        'pyinit.run(["gunicorn"': GUNICORN,
        'pyinit.run(["server"]': API,
    },
    "recipes.md": {"": "unit/test_recipes.py"},
    "rolling-update.md": {"": "container/test_swarm.py"},
    "security.md": {"cap_drop": COMPOSE},
    "what-happens.md": {
        'CMD ["/start.sh"]': ENDINGS,
        "ENTRYPOINT": ENDINGS,
        'ENTRYPOINT ["/init"]': "no: s6-overlay is rebuilt from Debian's s6, as the page says",
        "[Service]": ENDINGS,
    },
}
"""For each page: words of a block, and the test that runs it, or why none does. No words: all blocks of the page."""
