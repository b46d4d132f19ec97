"""What the commands of the shell take, and those with a file of their own."""
