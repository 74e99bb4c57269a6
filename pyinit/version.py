"""The version of pyinit."""

__version__ = "0.1.0"
