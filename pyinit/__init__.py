"""pyinit: a container's PID 1, in Python."""

__version__ = "0.1.0"
