"""IR and facts to programs: generated Python, flex, sdpa, reference."""
