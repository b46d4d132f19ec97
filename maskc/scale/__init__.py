"""One program over the ranks of context parallelism: who has which rows, and what each binds."""
