"""Row expressions to readable Python."""
