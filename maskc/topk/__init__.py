"""Selections: ``topk`` to ordinary masks over tensors."""
