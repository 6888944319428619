"""``lethe`` as typed, in a folder with a policy and a ledger of invented visitors."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lethe.cli import app
from privacy.consent import Decision
from sinks.ledger.consents import ConsentChange, record
from sinks.ledger.ledger import Ledger
from streams.settings import load
from streams.shared import ledger_url

Lethe = Callable[..., Result]
Change = Callable[..., None]

SITE = "shop.example"
POLICY = (
    (Path(__file__).parents[1] / "policy.toml").read_text()
    + """
[providers.linkedin]
purpose = "ads"
sites = ["shop.example"]
conversions = [{ page = "/thanks*", id = "10000001" }]
"""
)


@pytest.fixture
def lethe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    """Return ``lethe`` in a folder with a policy in ``policy.toml``, and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LETHE_POLICY", "policy.toml")
    Path("policy.toml").write_text(POLICY)
    return lambda *words: CliRunner().invoke(app, words)


@pytest.fixture
def ledger(lethe: Lethe) -> Iterator[Ledger]:
    """Make the ledger of that folder."""
    del lethe
    opened = Ledger.open(ledger_url(load()))
    yield opened
    opened.close()


@pytest.fixture
def change(ledger: Ledger) -> Change:
    """Return what records a change of consent in the ledger."""

    def make(offset: int, decision: Decision, purpose: str = "ads", **given: Any) -> None:
        made: dict[str, Any] = {
            "site": SITE,
            "visitor": "c-1",
            "offset": offset,
            "partition": 3,
            "id": f"change-{offset}",
            "purpose": purpose,
            "decision": decision,
            "notice_id": "cookies",
            "notice_version": "2026-10",
            "language": "nl-BE",
            "how": "banner",
            "occurred_at": 1_795_510_000_000 + offset,
            "recorded_at": 1_795_510_100_000 + offset,
        }
        with ledger.transaction() as connection:
            record(connection, [ConsentChange(**made | given)], ads={"ads"})

    return make
