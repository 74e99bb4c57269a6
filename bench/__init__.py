"""Measures pyinit beside its peers: ``make bench``, as root."""
