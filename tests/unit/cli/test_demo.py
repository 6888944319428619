"""What ``lethe demo`` leaves alone. What it does: tests/unit/test_demo_*.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Lethe = Callable[..., Result]


def test_a_folder_with_a_policy_of_its_own_is_left_alone(lethe: Lethe) -> None:
    result = lethe("demo")
    assert result.exit_code == 1
    assert "use an empty folder" in result.stdout
    assert not Path(".lethe").exists()


def test_a_credential_is_never_replaced(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LETHE_POLICY")
    file = Path(".lethe/secrets/ads/meta-token")
    file.parent.mkdir(parents=True)
    file.write_text("a real one")
    result = lethe("demo")
    assert result.exit_code == 1
    assert "meta-token" in result.stdout
    assert "a real one" not in result.stdout
    assert {each: each.read_text() for each in file.parent.iterdir()} == {file: "a real one"}
