"""Bound programs to attention."""
