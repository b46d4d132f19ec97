"""What the laws share: the driver, facts, ranges, and when a law may apply."""
