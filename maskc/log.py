"""What was decided and how long it took, for ``logging`` under the name ``maskc``.

    logging.basicConfig()
    logging.getLogger("maskc").setLevel(logging.DEBUG)

Nothing is measured or written unless somebody listens.
"""

from __future__ import annotations

import logging
from time import perf_counter

LOGGER = logging.getLogger("maskc")


def start() -> float | None:
    """Return the time if somebody listens, else None."""
    return perf_counter() if LOGGER.isEnabledFor(logging.DEBUG) else None


def done(begin: float | None, message: str, *values: object) -> None:
    """Write what was done since ``begin``, and in how many milliseconds.

    Args:
        begin: what ``start`` returned.
        message: with a ``%s`` for each value.
        *values: what it tells.

    """
    if begin is not None:
        LOGGER.debug(f"{message}, %.3g ms", *values, 1e3 * (perf_counter() - begin))
