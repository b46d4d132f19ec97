"""Which tiles of a mask are full, partial and empty."""
