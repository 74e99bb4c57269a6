"""What was asked for: the command line and the environment, read into settings.

The table of options is loaded where there may be one.
"""

from .settings import OWN, Persona, Settings

__all__ = ["Settings", "find_persona", "parse", "without_options"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def find_persona(name: str) -> Persona:
    """The program that we act as when invoked by this name."""
    if name in ("pyinit", "launcher.py"):
        return OWN
    from . import personas

    return personas.PERSONAS.get(name, OWN)


def parse(words: "list[str]", environ: "Mapping[bytes, bytes]", persona: Persona) -> Settings:
    """Read the command line, without the program's own name, and the environment.

    Raises:
        UsageError: something in them is malformed, or there is no PROGRAM.
    """
    plain = without_options(words, environ, persona)
    if plain:
        return plain
    from . import table

    return table.parse(words, environ, persona)


def without_options(words: "list[str]", environ: "Mapping[bytes, bytes]", persona: Persona) -> "Settings | None":
    """The settings of a run without options, on the command line or in the environment; None if there may be one.

    Most runs are such, and are spared the load of the table. `words` are without the program's own name.
    """
    argv = words[1:] if words[:1] == ["--"] else words
    if persona is not OWN or not argv or (argv is words and words[0][:1] == "-"):
        return None
    prefixes = tuple([prefix.encode() for prefix in OWN.variables])
    for name in environ:
        if name.startswith(prefixes):
            return None
    settings = Settings()
    settings.argv = argv
    return settings
