"""IR to simpler IR of the same meaning, one law a file."""
