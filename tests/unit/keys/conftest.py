"""A key server over a ledger with two departments' cases of invented services."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from privacy.lifecycle import CaseState
from privacy.policy import Policy
from sinks.keys.keks import Keks
from sinks.keys.vault import Vault
from sinks.ledger import cases
from sinks.ledger.cases import Case
from sinks.ledger.ledger import Ledger
from streams.keys.app import KeyServer
from streams.keys.desk import Desk
from streams.keys.prepare import prepare

NOW = 1_795_510_000_000


def _policy(**departments_of: tuple[str, ...]) -> Policy:
    """Return a policy with these services, of these departments."""
    return Policy.model_validate(
        {
            "version": "1",
            "controller": {"name": "Example Trading", "contact": "privacy@www.example"},
            "authority": {
                "name": "Example Authority",
                "address": "Street 1, Ghent",
                "complaint": "You may complain there (Art. 77 GDPR).",
            },
            "departments": {
                each: {"title": each.title(), "contact": f"{each}@www.example"}
                for each in ("marketing", "people")
            },
            "services": {
                name: {
                    "title": name.title(),
                    "life_cycle": "sample",
                    "departments": departments,
                    "legal_basis": "Art. 6(1)(b) GDPR",
                    "purposes": ["Sending what was asked for"],
                    "fields": {"email": {"title": "E-mail", "kind": "email", "mandatory": True}},
                }
                for name, departments in departments_of.items()
            },
        }
    )


POLICY = _policy(sample=("marketing",), both=("marketing", "people"))

Submit = Callable[..., bytes]


@pytest.fixture
def policy_of() -> Callable[..., Policy]:
    """Return what makes a policy with these services, of these departments."""
    return _policy


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    prepare(tmp_path / "secrets", POLICY)
    return tmp_path / "secrets"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def vault(secrets: Path) -> Vault:
    return Vault(Keks.under(secrets))


@pytest.fixture
def submit(ledger: Ledger, vault: Vault) -> Submit:
    """Return what lets a case in, with its key."""

    def put(case_id: str, service: str, *, known: bool = True) -> bytes:
        with ledger.transaction() as connection:
            key = vault.make(connection, case_id, POLICY.services[service].departments, NOW)
            if known:
                case = Case(
                    case_id=case_id, service=service, group_id=None, site="shop.example",
                    subject=None, state=CaseState.OPEN, language=None, received_at=NOW,
                    changed_at=NOW, due_at=None, key_version=1, sealed={}, settings={},
                    further=None,
                )  # fmt: skip
                cases.add(connection, [case])
        return key

    return put


@pytest.fixture
def serve(ledger: Ledger, vault: Vault, secrets: Path) -> Callable[..., KeyServer]:
    """Return what makes a server for a policy, this one unless said otherwise."""

    def make(policy: Policy = POLICY) -> KeyServer:
        desk = Desk(ledger, vault, policy)
        return KeyServer(desk, secrets / "departments", policy.departments, clock=lambda: NOW)

    return make
