"""A policy with one of everything that a plan looks at."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from privacy.policy import Policy


@pytest.fixture(scope="session")
def policy() -> Policy:
    file = Path(__file__).parents[2] / "rights.toml"
    return Policy.model_validate(tomllib.loads(file.read_text()))


@pytest.fixture
def body() -> dict[str, Any]:
    """Return a request that may enter."""
    return {"right": "access", "email": "anne@example.com", "cookie_id": "cookie-0123456789abcdef"}
