"""Turn a program and a call into row expressions over checked tensors."""
