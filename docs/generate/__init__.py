"""The pages of the book: those that are written, and those that the code gives."""
