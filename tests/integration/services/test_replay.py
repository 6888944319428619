"""All is read again, from the first offset, by readers that remember nothing: all stay gone."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import delete, select

from sinks.ledger import tables
from streams.settings import Settings

pytestmark = pytest.mark.broker

TOLD = {
    "deletions": "deletion",
    "notices": "notice",
    "mailing-changes": "mailing_change",
    "dead-letters": "dead_letter",
}
IDEMPOTENCY_KEY = "the-same-form-twice"


def test_s3_a_full_replay_brings_nobody_back(company: Any, eventually: Callable[..., Any]) -> None:
    """Of every kind of service, a group that was closed, and one who is still there."""
    form = {"fields": company.fill_in("sample-request"), "idempotency_key": IDEMPOTENCY_KEY}
    status, answer = company.post("sample-request", form)
    assert status == 202
    sample = answer["case_id"]
    entrants = [company.submit("contest", group="spring") for _ in range(3)]
    subscriber = company.submit("newsletter")
    survey = company.submit("survey", group="2026")
    stays = company.submit("contest", group="autumn")
    company.sees_in("marketing", stays, "open")
    for event, service, about in (
        ("delivered", "sample-request", {"case": sample}),
        ("delivered", "contest", {"group": "spring"}),
        ("unsubscribed", "newsletter", {"case": subscriber}),
        ("survey_closed", "survey", {"group": "2026"}),
        ("delivered", "sample-request", {"case": sample}),  # again: refused
    ):
        company.report(event, service, **about)
    gone = [sample, *entrants, subscriber, survey]
    certificates = [company.certified(each) for each in gone]
    eventually(lambda: company.messages("dead-letters", "dead_letter"), "the refused event")
    before = everything(company)

    company.rest()
    ends = positions(company)
    with company.ledger.transaction() as connection:
        connection.execute(delete(tables.positions).where(of_topics(company)))
    rewind(company.settings, "cases", ("form-submissions", "service-events"))
    rewind(company.settings, "receipts", receipts(company))
    company.work("replay")
    eventually(lambda: positions(company) == ends, "all to be read again")
    # What is read again is told twice to nobody: nothing of it is under way any more.
    with company.ledger.reading() as connection:
        assert not list(connection.execute(select(tables.outbox)))
        assert set(connection.scalars(select(tables.cases.c.case_id))) == {stays}
        assert set(connection.scalars(select(tables.case_keys.c.case_id))) == {stays}
    assert everything(company) == before
    assert [company.certified(each) for each in gone] == certificates
    assert company.sees("marketing").keys() == {stays}
    assert company.post("sample-request", form)[0] == 410


def everything(company: Any) -> dict[str, list[Any]]:
    """Return all that the pipeline has told anybody."""
    topics = TOLD | {f"cases-{each}": "case" for each in company.policy.departments}
    topics |= dict.fromkeys(receipts(company), "deletion_receipt")
    return {
        topic: sorted(company.messages(topic, record), key=repr) for topic, record in topics.items()
    }


def receipts(company: Any) -> list[str]:
    return [f"deletion-receipts-{each}" for each in company.policy.holders]


def positions(company: Any) -> set[Any]:
    read = select(tables.positions).where(of_topics(company), tables.positions.c.offset >= 0)
    with company.ledger.reading() as connection:
        return {tuple(row) for row in connection.execute(read)}


def of_topics(company: Any) -> Any:
    """Return what tells positions on topics from others, which nothing brings back."""
    return tables.positions.c.topic.startswith(company.settings.kafka.prefix)


def rewind(settings: Settings, reader: str, topics: Iterable[str]) -> None:
    """Have a group that nobody is in begin at the first offsets."""
    group = {"bootstrap.servers": settings.kafka.bootstrap, "group.id": settings.topic(reader)}
    client = Consumer(group)
    places = [TopicPartition(settings.topic(topic), each, 0) for topic in topics
              for each in range(4)]  # fmt: skip
    client.commit(offsets=places, asynchronous=False)
    client.close()
