"""IR to facts: what a mask does on whole tiles, without evaluating it there."""
