"""Whole numbers in text, as people and the kernel write them."""


def whole(text: "str | bytes", most: int) -> "int | None":
    """The number that `text` is, from 0 to `most`; None for anything else.

    int() takes more than that: a sign, blanks, underscores, digits of any script.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    number = int(text)
    return number if number <= most else None
