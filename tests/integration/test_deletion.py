"""From the end of a case to its certificate: worker, broker and a holder outside as they run."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from lethe import RetentionWorker
from lethe.local.process import Process, Supervisor
from lethe.standins.crm import Crm
from privacy.certificate import canonical
from schemas.codec import decode
from sinks.kafka_admin import create_topics
from sinks.ledger import cases, deletion, tables
from sinks.ledger.cases import Deletion
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer, verify
from streams.deletion.rolling import NOBODY
from streams.keys.prepare import prepare
from streams.policy import load
from streams.settings import Settings
from streams.shared import ledger_url, now

pytestmark = pytest.mark.broker

POLICY = """\
version = "1"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[authority]
name = "Example Authority"
address = "Street 1, Ghent"
complaint = "You may complain there (Art. 77 GDPR)."
[departments.sales]
title = "Sales"
contact = "sales@www.example"
[holders.crm]
title = "CRM"
services = ["samples"]
[services.samples]
title = "Samples"
life_cycle = "sample"
departments = ["sales"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["Sending what was asked for"]
[services.samples.fields.email]
title = "E-mail"
kind = "email"
mandatory = true
"""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "policy.toml").write_text(POLICY)
    made = settings.model_copy(
        update={
            "secrets_dir": tmp_path / "secrets",
            "policy": tmp_path / "policy.toml",
            "metrics_port": 0,
        }
    )
    prepare(made.secrets, load(tmp_path / "policy.toml"))
    create_topics(made.kafka.bootstrap, {}, made.kafka.prefix, departments=["sales"])
    return made


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = Ledger.open(ledger_url(settings))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _worker(settings: Settings, tmp_path: Path) -> Iterator[None]:
    supervisor = Supervisor()
    supervisor.start()
    command = [sys.executable, "-m", "lethe", "worker"]
    for part in ("delete", "receipts", "overdue"):
        command += ["--only", part]
    process = Process(
        "worker", command, tmp_path / "worker.log", environment=settings.environment()
    )
    supervisor.run(process)
    yield
    supervisor.stop()


@pytest.fixture
def crm(settings: Settings, tmp_path: Path) -> Iterator[Crm]:
    """Run the CRM's worker."""
    store, stop = Crm(tmp_path / "crm.db"), threading.Event()
    kafka = settings.kafka

    def work() -> None:
        with RetentionWorker(kafka.bootstrap, "crm", prefix=kafka.prefix) as retention:
            retention.run(store.erase, stop)

    thread = threading.Thread(target=work)
    thread.start()
    yield store
    stop.set()
    thread.join()


def begin_and_end(ledger: Ledger, case_ids: list[str]) -> None:
    row = {
        "service": "samples", "group_id": None, "site": "shop", "subject": None, "state": "ended",
        "language": None, "received_at": 1, "changed_at": 1, "due_at": None, "key_version": 1,
        "sealed": {}, "settings": {}, "further": None,
    }  # fmt: skip
    at = now()
    with ledger.transaction() as connection:
        connection.execute(insert(tables.cases), [{"case_id": each, **row} for each in case_ids])
        keys = {"department": "sales", "wrapped": b"w" * 40, "made_at": at}
        connection.execute(
            insert(tables.case_keys), [{"case_id": each, **keys} for each in case_ids]
        )
        cases.end(
            connection,
            [
                Deletion(
                    f"d-{each}", each, "samples", ["sales"], ["crm"], "delivered", "e-1",
                    at, at + 60_000,
                )
                for each in case_ids
            ],
        )  # fmt: skip


def certificates(ledger: Ledger) -> dict[str, Any]:
    with ledger.reading() as connection:
        found = deletion.latest(connection, 1_000)
    return {each.deletion.case_id: each.certificate for each in found if each.certificate}


def test_cases_that_are_over_go_from_ledger_topic_and_holder_and_that_is_certified(
    settings: Settings,
    ledger: Ledger,
    crm: Crm,
    read_topic: Callable[[str, str], list[Any]],
) -> None:
    """S3, S20; what a kill on the way leaves, ``ledger/test_shredding.py`` shows."""
    case_ids = [f"case-{number}" for number in range(300)]
    for each in case_ids[:200]:
        crm.keep(each, {"email": f"{each}@example.com"})
    crm.keep("other", {"email": "other@example.com"})
    begin_and_end(ledger, case_ids)
    until(lambda: len(certificates(ledger)) == 300, ledger)
    assert list(crm.contacts()) == ["other"]
    public = Signer.under(settings.secrets).public
    for case_id, signed in certificates(ledger).items():
        content = signed["certificate"]
        assert verify(public, canonical(content), signed["signature"])
        (holder,) = content["holders"]
        held = int(case_id.removeprefix("case-")) < 200
        assert holder["outcome"] == ("done" if held else "nothing_held")
    told = read_topic(settings.kafka.bootstrap, settings.topic("cases-sales"))
    assert {each.key.decode() for each in told} == {*case_ids, NOBODY.decode()}
    assert not any(each.value for each in told)
    asked = read_topic(settings.kafka.bootstrap, settings.topic("deletions"))
    assert {decode("deletion", each.value)["deletion_id"] for each in asked} == {
        f"d-{each}" for each in case_ids
    }
    with ledger.reading() as connection:
        assert not deletion.traces(connection, case_ids)


def until(true: Callable[[], object], ledger: Ledger, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"{len(certificates(ledger))} certificates after {seconds:g} s")
        time.sleep(0.05)
