"""One run of a callable on tensors without data, whose elements are terms."""
