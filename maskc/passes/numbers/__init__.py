"""Laws of ints and floats."""
