"""A page to explore a mask: what it is made of, and how it evaluates the program itself."""
