"""pyinitctl: looks into a running container. One module a command; never imported by the core."""
