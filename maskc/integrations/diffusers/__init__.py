"""diffusers: a program in the place of the full attention of a diffusion transformer.

>>> from maskc.integrations.diffusers import attach, detach
>>> attach(transformer, "axis t, h, w; natten(h, 7) & natten(w, 7)")

The attention of diffusers' models goes through one dispatcher, to a backend that each attention's
processor may name. ``attach`` registers a backend for its program and has the processors name it.
"""

from maskc.integrations.diffusers.attach import attach, detach

__all__ = ["attach", "detach"]
