"""The keys of each query row as a few ranges side by side, found without looking at pairs."""
