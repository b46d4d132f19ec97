"""Why a query sees a key or does not: the tree of the program with its values."""
