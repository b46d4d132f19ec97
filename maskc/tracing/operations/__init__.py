"""What torch's operations mean: terms of the IR, operation by operation."""
