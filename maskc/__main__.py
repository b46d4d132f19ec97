"""``python -m maskc``: the command, where its script is not on the path."""

from maskc.cli import main

if __name__ == "__main__":
    main(prog_name="maskc")
