"""One program over the ranks of context parallelism: who has which rows, and what each binds."""

from maskc.scale.plan import Plan, share_order

__all__ = ["Plan", "share_order"]
