"""What a program and a call become and cost, in words."""
