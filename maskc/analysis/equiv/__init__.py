"""Whether two programs mean the same."""
