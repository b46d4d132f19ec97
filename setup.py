"""The README as a package index shows it: its relative links become addresses.

All else is in pyproject.toml, and so are the addresses.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def long_description() -> str:
    """Return the README with links to the files of the repository, and pictures that load."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    source = project["urls"]["Source"]

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link[1].startswith("!") else "blob"
        return f"{link[1]}{source}/{kind}/main/{link[2]}"

    text = (HERE / "README.md").read_text(encoding="utf-8")
    return re.sub(r"(!?\[[^\]\n]*\]\()(?!https?:|#)([^)\s]+)(?=\))", absolute, text)


setup(long_description=long_description(), long_description_content_type="text/markdown")
