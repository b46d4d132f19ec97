"""What a program does to the score."""
