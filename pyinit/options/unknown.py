"""Names that nobody knows, and the known one that was probably meant; loaded only if there is such a name."""

from .settings import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .settings import Persona, Remark

_ALIKE = 0.6
"""How alike two names must be to be mistaken for each other: that of difflib."""

_LONGEST = 64
"""Characters. A longer name is not compared: none of ours is as long."""

_OF_IMAGES = ("_VERSION", "_SHA", "_SHA256", "_URL")
"""How the names of variables end that an image uses to download a peer: tini's README sets TINI_VERSION."""


def variables(names: "Iterable[str]", known: "Iterable[str]", persona: "Persona") -> "list[Remark]":
    """Remarks on the variables `names`, which have a prefix that `persona` honours and are not in `known`.

    By our own name the variables of the peers are another program's business.
    """
    honoured = [name for name in known if name.startswith(persona.variables)]
    remarks: "list[Remark]" = []
    for name in names:
        if name[:7] != "PYINIT_" and (persona is OWN or name.endswith(_OF_IMAGES)):
            continue
        prefix = name.removesuffix(_tail(name))  # of two variables for the same, the one with that is meant
        tails = {_tail(one): one for one in sorted(honoured, key=lambda one: one.startswith(prefix))}
        meant = nearest(_tail(name), tails)
        hint = f"did you mean {tails[meant]}?" if meant else f"see {persona.name} --help"
        remarks.append((True, name, f"unknown environment variable {name}; {hint}"))
    return remarks


def nearest(word: str, known: "Iterable[str]") -> "str | None":
    """The one of `known` that is most like `word`; None if none is."""
    best, most = None, _ALIKE
    for other in known if len(word) <= _LONGEST else ():
        likeness = 2 * _common(word, other) / (len(word) + len(other))
        if likeness > most:
            best, most = other, likeness
    return best


def _common(one: str, other: str) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for char in one:
        diagonal = 0
        for index, another in enumerate(other, 1):
            diagonal, row[index] = row[index], diagonal + 1 if char == another else max(row[index], row[index - 1])
    return row[-1]


def _tail(name: str) -> str:
    """A variable's name without PYINIT_, TINI_ or DUMB_INIT_."""
    return name.removeprefix("DUMB_").partition("_")[2]
