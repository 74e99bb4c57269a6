"""Measures pyinit beside its peers: ``python3 -m bench``, as root."""
