"""The version of pyinit."""

__version__ = "0.2.0"
