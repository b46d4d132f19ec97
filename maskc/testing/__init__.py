"""Compare backends with each other and with the float64 reference, in tests and on a terminal."""

from maskc.testing.compare import BACKENDS, assert_equivalent, diff
from maskc.testing.draws import random_inputs, random_qkv
from maskc.testing.matches import Match, matches
from maskc.testing.place import Place
from maskc.testing.report import TOLERANCES, Report, Result

__all__ = [
    "BACKENDS",
    "TOLERANCES",
    "Match",
    "Place",
    "Report",
    "Result",
    "assert_equivalent",
    "diff",
    "matches",
    "random_inputs",
    "random_qkv",
]
