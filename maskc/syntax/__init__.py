"""Text to syntax tree; the one door to lark."""
