"""The examples, importable as ``examples.<folder>.<module>`` from wherever the tests are run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
