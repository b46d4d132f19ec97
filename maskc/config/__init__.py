"""Config files as data, and where in them a program stands."""
