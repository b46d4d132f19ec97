"""What one would write by hand, to compare with."""
