"""Typical applications under pyinit: the images of examples/recipes, which docs/recipes.md shows."""
