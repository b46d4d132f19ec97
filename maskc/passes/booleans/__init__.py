"""Laws of comparisons, connectives and choices."""
