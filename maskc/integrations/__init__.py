"""One file a foreign system; imported only by whoever asks for it."""
