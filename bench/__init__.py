"""Benchmarks of pyinit and its peers: ``make bench``, as root."""
