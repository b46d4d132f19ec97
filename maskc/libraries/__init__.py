"""Libraries of masks: those that a program names, and those that lie beside it."""
