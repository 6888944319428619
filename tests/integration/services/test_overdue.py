"""Holders outside that do not answer, and those that answer more than once (S3)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from schemas.codec import encode
from sinks.kafka import BatchProducer
from sinks.ledger import deletion, tables
from streams.shared import now

pytestmark = pytest.mark.broker


def test_s3_a_holder_that_never_answers_is_reported_and_one_that_answers_twice_changes_nothing(
    idle_company: Any, eventually: Callable[..., Any]
) -> None:
    company = idle_company
    company.start()
    case_id = company.submit("sample-request")
    company.crm.keep(case_id, company.sees_in("sales", case_id, "open").fields)
    company.report("delivered", "sample-request", case=case_id)
    (row,) = eventually(
        lambda: [each for each in company.deletions(case_id) if each["announced_at"]],
        "the holder to be told",
    )
    assert (row["waits_for"], row["completed_at"]) == ("crm", None)
    assert company.asks("sales", [case_id]) == {case_id: None}  # ours is done at once
    assert "Nothing is overdue" in company.lethe("deletions", "--overdue")
    company.lethe("deletions", "certificate", case_id, code=1)

    with company.ledger.transaction() as connection:  # a day goes by
        connection.execute(update(tables.deletions).values(deadline=now() - 1))
    (row,) = json.loads(company.lethe("deletions", "--overdue", "--format", "json", code=1))
    assert (row["case_id"], row["waits_for"]) == (case_id, "crm")
    company.work("overdue", "overdue")
    (alert,) = eventually(
        lambda: company.messages("pipeline-alerts", "pipeline_alert"), "the alert"
    )
    told = {name: alert.record[name] for name in ("kind", "subject", "count")}
    assert told == {"kind": "deletion_overdue", "subject": "crm", "count": 1}

    company.hold("crm")
    signed = eventually(lambda: certificate(company, case_id), "the certificate")
    assert signed["certificate"]["in_time"] is False
    assert signed["certificate"]["holders"][0]["outcome"] == "done"
    assert "Nothing is overdue" in company.lethe("deletions", "--overdue")
    answer = answers(company, case_id)
    answer_again(company, case_id)
    other = company.submit("sample-request")
    company.sees_in("sales", other, "open")
    company.report("delivered", "sample-request", case=other)
    assert company.certified(other)["holders"][0]["outcome"] == "nothing_held"
    assert certificate(company, case_id) == signed
    assert answers(company, case_id) == answer
    assert company.messages("dead-letters", "dead_letter") == []


def certificate(company: Any, case_id: str) -> Any:
    with company.ledger.reading() as connection:
        found = deletion.show(connection, case_id)
    return None if found is None else found.certificate


def answers(company: Any, case_id: str) -> Any:
    with company.ledger.reading() as connection:
        found = deletion.show(connection, case_id)
        return deletion.receipts_of(connection, [found.deletion.deletion_id])


def answer_again(company: Any, case_id: str) -> None:
    """Send the holder's receipt again, and others that say something else."""
    kafka = company.settings.kafka
    producer = BatchProducer(kafka.bootstrap, kafka.options)
    (first,) = company.messages("deletion-receipts-crm", "deletion_receipt")
    for number, outcome in enumerate(("done", "nothing_held", "failed")):
        receipt = first.record | {"outcome": outcome, "at": now()}
        if number:
            receipt |= {"receipt_id": f"00000000-0000-4000-8000-{number:012}"}
        value = encode("deletion_receipt", receipt)
        producer.send(company.settings.topic("deletion-receipts-crm"), [value], [case_id.encode()])
    producer.stored()
