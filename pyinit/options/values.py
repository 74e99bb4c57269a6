"""Converters from the text of an option or environment variable to its value.

Each raises ValueError with the reason if the text is malformed.
"""

import posix

from ..kernel import signals
from ..kernel.numbers import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ..workload.user import User

    Value = TypeVar("Value")


def boolean(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"'{text}' is neither 1 nor 0")


def if_true(value: "Value") -> "Callable[[str], Value | None]":
    """A converter that returns `value` for a true text, and None for a false one."""
    return lambda text: value if boolean(text) else None


def if_false(value: "Value") -> "Callable[[str], Value | None]":
    """A converter that returns `value` for a false text, and None for a true one."""
    return lambda text: None if boolean(text) else value


def always(value: "Value") -> "Callable[[str], Value]":
    """A converter that returns `value` for any text."""
    return lambda text: value


def one_of(*words: str) -> "Callable[[str], str]":
    """A converter that accepts only these words."""

    def convert(text: str) -> str:
        if text not in words:
            raise ValueError(f"'{text}' is not one of {', '.join(words)}")
        return text

    return convert


def number(text: str, most: int, kind: str) -> int:
    value = whole(text, most)
    if value is None:
        raise ValueError(f"'{text}' is not {kind} from 0 to {most}")
    return value


def seconds(text: str) -> float:
    units, _, fraction = text.partition(".")
    if max(len(units), len(fraction)) > 9 or whole(units + fraction, 10**18) is None:
        raise ValueError(f"'{text}' is not a number of seconds")
    return float(text)


def verbosity(text: str) -> int:
    return min(number(text, 999, "a verbosity"), 4)


def louder(verbosity: "int | None", levels: int) -> int:
    """The verbosity after further levels; None is the default."""
    return min((1 if verbosity is None else verbosity) + levels, 4)


def is_json(text: str) -> bool:
    return one_of("text", "json")(text) == "json"


def rewrite(text: str) -> "dict[int, int]":
    """``FROM:TO``, as signals to the ones delivered instead."""
    source, colon, target = text.partition(":")
    if not colon:
        raise ValueError(f"'{text}' is not of the form FROM:TO")
    caught = signals.number_of(source)
    if caught not in signals.CAUGHT:
        raise ValueError(f"{signals.name_of(caught)} cannot be caught")
    return {caught: 0 if target == "0" else signals.number_of(target)}


def exit_remap(text: str) -> "dict[int, int]":
    """``CODE[:TO]``, as exit statuses to the ones reported instead."""
    source, colon, target = text.partition(":")
    code = number(source, 255, "an exit status")
    return {code: number(target, 255, "an exit status") if colon else 0}


def listed(convert: "Callable[[str], dict[int, int]]") -> "Callable[[str], dict[int, int]]":
    """A converter of a comma-separated list of what `convert` converts."""

    def convert_each(text: str) -> "dict[int, int]":
        pairs: "dict[int, int]" = {}
        for part in text.split(","):
            pairs.update(convert(part.strip()))
        return pairs

    return convert_each


def merged(pairs: "dict[int, int] | None", more: "dict[int, int]") -> "dict[int, int]":
    return {**(pairs or {}), **more}


def absolute_path(text: str) -> str:
    """A path, made absolute: pyinit changes its working directory before the file is written."""
    if not text or "\0" in text:
        raise ValueError(f"'{text}' is not a path")
    try:
        return text if text[0] == "/" else f"{posix.getcwd()}/{text}"
    except OSError:
        raise ValueError(f"'{text}' is relative, and there is no working directory") from None


def user(text: str) -> "User":
    from ..workload import user  # it needs extension modules

    return user.find(text)
