"""Leave the kernels to ``make triton``, whose environment has triton beside a CPU build of torch.

Triton reads ``TRITON_INTERPRET`` when it is imported, and an interpreter in a process is one for
all of it: so these tests run in processes of their own, a file each.
"""

from __future__ import annotations

import os

if os.environ.get("TRITON_INTERPRET"):
    from versions import check_versions

    check_versions()
collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") else ["test_*.py"]
