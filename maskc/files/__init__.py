"""The one way to read a file and the one way to write one."""
