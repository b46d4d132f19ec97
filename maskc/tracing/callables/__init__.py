"""What a callable is from outside: where its lines are, which tensors and numbers it holds."""
