"""Applications as people run them, under pyinit: each is an image of examples/recipes, which docs/recipes.md shows."""
