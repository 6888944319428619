"""A real server's log, which is not ours to hand out: what reads it is skipped without it."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[2] / "shared" / "data" / "access-2015-05.log"

REAL_LOG = Path(os.environ.get("LETHE_REAL_LOG", _BESIDE))
needs_real_log = pytest.mark.skipif(not REAL_LOG.exists(), reason="LETHE_REAL_LOG names no file")
