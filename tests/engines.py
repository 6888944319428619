"""What tests need that may not be there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lethe.local import EngineError


@contextmanager
def or_skipped() -> Iterator[None]:
    """Skip what needs an engine that is not there; fail if ``LETHE_REQUIRE_SERVICES`` is 1."""
    try:
        yield
    except EngineError as error:
        if os.environ.get("LETHE_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(str(error))
