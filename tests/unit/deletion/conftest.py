"""Deletions that the broker was told of, in SQLite, and who completes them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sinks.ledger import cases, deletion
from sinks.ledger.cases import Deletion
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer
from streams.deletion.certify import Certifier

NOW = 1_795_000_000_000

Ask = Callable[[str, Sequence[str]], None]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def certifier(ledger: Ledger) -> Certifier:
    signer = Signer(Ed25519PrivateKey.generate())
    return Certifier(
        ledger, signer, controller="Example Trading", policy="1", clock=lambda: NOW + 9
    )


@pytest.fixture
def ask(ledger: Ledger) -> Ask:
    """Have a case deleted, up to where its holders are asked."""

    def asked(case_id: str, holders: Sequence[str]) -> None:
        new = Deletion(
            f"d-{case_id}", case_id, "samples", ["sales"], holders, "delivered", "e-1",
            NOW, NOW + 1_000,
        )  # fmt: skip
        with ledger.transaction() as connection:
            cases.end(connection, [new])
            deletion.shred(connection, [case_id], NOW)
            deletion.unreadable(connection, [case_id], NOW)
            deletion.announced(connection, [case_id], NOW)

    return asked
