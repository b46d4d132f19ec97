"""SDPA for one query, as a step of decoding has it."""
