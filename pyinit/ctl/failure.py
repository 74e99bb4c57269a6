"""What can keep a command from looking."""


class CannotLook(Exception):
    """The text says in one line what could not be seen, and why."""


STATUS = 3
"""The exit status of a command that could not look."""
