"""Which tiles of a mask are full, partial and empty, and the tables that say so."""
