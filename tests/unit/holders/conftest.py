"""A case of an invented person that holders outside have too, and steps done about it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from privacy.lifecycle import CaseState
from privacy.policy import RIGHTS, Policy
from privacy.rights.plan import Act, Command
from privacy.rights.request import Asked, Right
from privacy.subjects import subject_id
from sinks.keys.keks import Keks
from sinks.keys.seal import seal, unseal
from sinks.keys.vault import Vault
from sinks.ledger import cases, demands, requests
from sinks.ledger.cases import Case
from sinks.ledger.demands import Demand
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import Request, State
from streams.cases.records import text_of
from streams.cases.transitions import Transitions
from streams.keys.tokens import readers
from streams.rights.correct import CorrectionActs
from streams.rights.demands import DemandActs
from streams.rights.doing import Doing, Done, Later

NOW = 1_795_000_000_000
DAY_MS = 86_400_000
SITE = "shop.example"
FIELDS = {"email": "ann@example.com", "city": "Ghent", "pieces": "3"}
POLICY = """
version = "test"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[authority]
name = "Example Authority"
address = "1 Example Square"
complaint = "You may complain to the authority."
[departments.care]
title = "Care"
contact = "care@www.example"
[holders.crm]
title = "The CRM"
services = ["samples"]
[holders.mail]
title = "The mailer"
services = ["samples"]
[rights]
department = "care"
[rights.controllers.bank]
title = "The bank"
url = "https://bank.example/copies"
[services.samples]
title = "Samples"
life_cycle = "sample"
departments = ["care"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["to send them"]
[services.samples.fields]
email = { title = "E-mail", kind = "email", mandatory = true }
city = { title = "City", kind = "text" }
street = { title = "Street", kind = "text" }
pieces = { title = "How many", kind = "number" }
[services.alone]
title = "Alone"
life_cycle = "sample"
departments = ["care"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["to send them"]
[services.alone.fields]
email = { title = "E-mail", kind = "email", mandatory = true }
"""


def asks(right: Right, **more: Any) -> Asked:
    given = {
        "ground": None, "email": "ann@example.com", "site": None, "cookie_id": None,
        "language": "en", "service": None, "purposes": (), "corrections": {}, "statement": None,
        "transfer_to": None, "answer": "the-token",
    }  # fmt: skip
    return Asked(right=right, **{**given, **more})


class Office:
    """Does steps of request ``r`` and remembers what they had sent."""

    now = NOW
    subject_key = bytes(32)

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger, self.secrets = ledger, folder
        self.policy = Policy.model_validate(tomllib.loads(POLICY))
        keks = Keks.under(folder)
        keks.make_missing([*readers(self.policy), RIGHTS])
        self.vault = Vault(keks)
        self.sent: list[Any] = []
        transitions = Transitions(self.policy, lambda name: name, lambda: {"1": bytes(32)})
        self.handlers = {
            **CorrectionActs(self.policy, self.vault, transitions, self.subject_key).handlers(),
            **DemandActs(self.policy, self.vault, lambda name: name).handlers(),
        }

    def begin(self, case_id: str, service: str = "samples", held: str | None = None) -> None:
        """Have a case in the ledger, as the cases lane leaves it."""
        fields = FIELDS if service == "samples" else {"email": "ann@example.com"}
        with self.ledger.transaction() as connection:
            key = self.vault.make(connection, case_id, ["care"], NOW)
            case = Case(
                case_id=case_id, service=service, group_id=None, site=SITE,
                subject=subject_id(self.subject_key, FIELDS["email"]), state=CaseState.OPEN,
                language="nl", received_at=NOW, changed_at=NOW, due_at=None, key_version=1,
                sealed=text_of(seal(key, fields, site=SITE, case_id=case_id)), settings={},
                further=None, held=held,
            )  # fmt: skip
            cases.add(connection, [case])

    def doing(self, act: Act, target: str = "", **asked: Any) -> Doing:
        right = Right.RECTIFICATION if asked else Right.ACCESS
        request = Request(
            "r", right, None, SITE, "en", None, False, State.PLANNED,
            NOW, NOW + 30 * DAY_MS, None, planned_at=NOW,
        )  # fmt: skip
        with self.ledger.transaction() as connection:
            requests.add(connection, request)
        return Doing(request, asks(right, **asked), b"", Command(act, target), 0, self.now)

    def do(self, act: Act, target: str = "", **asked: Any) -> Done | Later:
        doing = self.doing(act, target, **asked)
        with self.ledger.transaction() as connection:
            came = self.handlers[act](connection, doing)
        if isinstance(came, Done):
            self.sent += came.messages
        return came

    def case(self, case_id: str) -> Case:
        with self.ledger.transaction() as connection:
            return cases.locked(connection, [case_id])[case_id]

    def opened(self, case_id: str, sealed: Mapping[str, bytes]) -> Mapping[str, str]:
        with self.ledger.reading() as connection:
            key = self.vault.open(connection, [case_id], "care")[case_id]
        return unseal(key, sealed, site=SITE, case_id=case_id)

    def key_of(self, key_id: str, reader: str) -> bytes | None:
        with self.ledger.reading() as connection:
            return self.vault.open(connection, [key_id], reader).get(key_id)

    def demands(self) -> list[Demand]:
        with self.ledger.reading() as connection:
            return demands.of_request(connection, "r")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def office(ledger: Ledger, tmp_path: Path) -> Office:
    return Office(ledger, tmp_path / "secrets")
