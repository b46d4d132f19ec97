"""A program and a call to row expressions over checked tensors."""
