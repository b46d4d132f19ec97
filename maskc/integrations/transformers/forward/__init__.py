"""What happens in a forward: contexts are made, layers bind their programs and attend."""
