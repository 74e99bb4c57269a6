"""pyinit in real containers."""
