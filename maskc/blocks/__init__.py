"""Bound masks to block masks."""
