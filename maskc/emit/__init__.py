"""Programs to Python files that need torch alone."""
