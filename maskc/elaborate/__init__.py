"""Syntax tree to typed IR: names, types, definitions, and every error of a program."""
