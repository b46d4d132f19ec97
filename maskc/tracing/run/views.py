"""Views of a captured tensor as subscripts of it, so that ``t[0][q]`` reads ``t[0, q]``."""

from __future__ import annotations

from torch import Tensor


def selected(view: Tensor, base: Tensor) -> tuple[int | None, ...] | None:
    """Return the subscript of each dimension of ``base`` that gives ``view``.

    None stands for a dimension that is left whole; None in the whole's place for a view that no
    such subscripts give: a slice, a transposition, another dtype.
    """
    if view is base:
        return (None,) * base.dim()
    if view.dtype is not base.dtype or not base.is_contiguous():
        return None
    kept = list(zip(view.shape, view.stride(), strict=True))
    offset = int(view.storage_offset()) - int(base.storage_offset())
    at: list[int | None] = []
    for size, stride in zip(base.shape, base.stride(), strict=True):
        index, rest = divmod(offset, stride)
        if kept and kept[0] == (size, stride) and index == 0:
            at.append(None)
            kept.pop(0)
        elif not 0 <= index < size:
            return None
        else:
            at.append(index)
            offset = rest
    return None if kept or offset else tuple(at)
