"""IR to simpler IR: one law family a file; the one door to sympy is ``algebra``."""
