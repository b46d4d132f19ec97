"""Expressions on whole tiles: intervals of numbers, truths of booleans."""
