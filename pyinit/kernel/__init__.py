"""System calls and their odd corners; knows nothing of the rest."""
