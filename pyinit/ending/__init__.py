"""The end: its stages, and the processes that are left."""
