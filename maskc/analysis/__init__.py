"""IR to facts, never to new IR: intervals, tiles, classes of scores, and equivalence."""
