"""A real server's log, which is not ours to hand out: what reads it is skipped without it."""

import os
from pathlib import Path

_BESIDE = Path(__file__).parents[2] / "shared" / "data" / "access-2015-05.log"

REAL_LOG = Path(os.environ.get("LETHE_REAL_LOG", _BESIDE))
