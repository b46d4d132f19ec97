"""IR to facts: what a mask does on whole tiles, without evaluating it there.

The expressions are those of a row program (``maskc.ir.rows``). The doors:

``tiles.tile_map(mask, domain, block_size=(q, kv)) -> TileMap``
    every tile of the mask: full, partial or empty, and which step decided it
``tables.block_tables(tile_map, compact=False) -> Tables``
    the eight tensors of torch's ``BlockMask``, by the names of its constructor
``empty_rows.empty_rows(mask, domain, tile_map) -> Tensor``
    ``[B | 1, H | 1, Q]``, true for a query row that has no key
``search.any_true(expr, domain) -> Point | None``
    a point (``maskc.ir.evaluate.Point``) where a boolean holds, None if it holds nowhere
"""
