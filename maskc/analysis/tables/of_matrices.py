"""Tables of blocks that are told by matrices of booleans."""

from __future__ import annotations

from math import prod

import numpy as np

from maskc.analysis.tiles.runs import Array


def tables_of_matrices(matrices: Array) -> tuple[Array, Array]:
    """Return counts ``[..., rows]`` and indices ``[..., rows, columns]``, int32.

    What a row holds past its count means nothing, and lies inside.

    Args:
        matrices: bool ``[..., rows, columns]``.

    """
    shape = matrices.shape
    rows, columns = prod(shape[:-1]), shape[-1]
    place = np.flatnonzero(matrices)
    row = place // columns
    count = np.bincount(row, minlength=rows)
    begin = row * columns
    column = place - begin
    behind = np.cumsum(count) - count  # how many there are before a row
    begin -= behind[row]
    begin += np.arange(len(place))
    indices = np.zeros(rows * columns, np.int32)
    indices[begin] = column
    return count.astype(np.int32).reshape(shape[:-1]), indices.reshape(shape)
