"""The grammar and the standard library of the maskc language, as data files."""
