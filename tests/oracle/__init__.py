"""A second meaning of the language: formulas of torch, with no code of maskc."""
