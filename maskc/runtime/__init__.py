"""Tensors meet programs: binding, checks, dispatch."""
