"""The tables of block masks, written from tiles."""
