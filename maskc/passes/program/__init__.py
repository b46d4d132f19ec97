"""Laws of whole programs: what the mask and the score tell of each other."""
