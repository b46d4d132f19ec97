"""The typed intermediate representation: nodes, names, text, and the obvious meaning."""
