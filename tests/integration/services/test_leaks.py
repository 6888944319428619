"""What people filled in is on no disk after their service was done: not once (S3)."""

import os
import time
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from lethe.audit import Findings
from lethe.local.engines import Engines
from schemas.registry import topics_of
from sinks.ledger import tables
from tests.aside import searched
from tests.integration.topics import configure
from tests.words import Words, spellings

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse]

# By which event a case of each life cycle ends.
ENDS = {
    "contest": "delivered", "sample": "delivered", "information": "answered",
    "event": "event_deleted", "registration": "cancelled", "invitation": "declined",
    "application": "withdrawn", "survey": "withdrawn", "feedback": "answered",
    "subscription": "unsubscribed",
}  # fmt: skip


def test_a_text_is_found_in_each_spelling() -> None:
    looked_for = Words(spellings("marked-0123456789"))
    said = "so many words, one is marked-0123456789 among them"
    coded = [b64encode(said[at:].encode()) for at in range(3)]
    for each in (said.encode(), said.encode("utf-16-le"), said.encode("utf-16-be"), *coded):
        assert looked_for.found_in(each)
    assert not looked_for.found_in(said.replace("0", "1").encode())


def run_all(company: Any, group_id: str) -> list[str]:
    """Submit a form to every service; have each read, held outside and badly sent as well."""
    cases = []
    for name, service in company.policy.services.items():
        group = {} if service.group == "none" else {"group": group_id}
        case_id = company.submit(name, **group)
        cases.append((name, service, case_id))
        send_badly(company, name)
    for name, service, case_id in cases:
        for department in service.departments:
            case = company.sees_in(department, case_id, "open")
            if company.policy.holders_of(name):
                company.crm.keep(case_id, case.fields)
    return [case_id for *_, case_id in cases]


def send_badly(company: Any, service: str) -> None:
    """Send what is refused; it is on no disk either."""
    filled = company.fill_in(service)
    word = filled["email"]
    for body in (
        {"fields": filled | {"no_such_field": word}},
        {"fields": filled | {word: word}},
        {"fields": filled | {"email": f"no {word}"}, "group": f"no {word}"},
        {"fields": filled, "idempotency_key": word},
        [filled],
    ):
        assert company.post(service, body)[0] in {400, 422}
    port = company.settings.collector.port
    for path in (f"forms/{word}", f"unsubscribe/{word}", f"unsubscribe/1.{service}.{word}.0"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/{path}", b"{}")
        assert refused.value.code in {401, 404}


def end_all(company: Any, case_ids: list[str]) -> None:
    for (name, service), case_id in zip(company.policy.services.items(), case_ids, strict=True):
        company.report(ENDS[service.life_cycle], name, case=case_id)
    for case_id in case_ids:
        company.certified(case_id)


def kept_secret(company: Any) -> list[bytes]:
    """Return what opens cases, as the ledger has it: wrapped keys, and what they open."""
    with company.ledger.reading() as connection:
        found = [bytes(each) for each in connection.scalars(select(tables.case_keys.c.wrapped))]
        for sealed in connection.scalars(select(tables.cases.c.sealed)):
            found += [each.encode() for each in sealed.values()]
    return found


def where(findings: Findings) -> set[str]:
    return {Path(path).name for path, *_ in findings.hits}


def test_s3_nothing_that_people_filled_in_is_on_any_disk(company: Any, engines: Engines) -> None:
    everywhere = [engines.settings.data_dir, company.folder]
    marks = Words(each for mark in company.marks for each in spellings(mark))
    case_ids = run_all(company, "words")
    ours = Words(kept_secret(company))
    # While they last: in clear with the holders outside alone, and what opens them in the ledger.
    found = where(searched(everywhere, marks))
    assert found
    assert found <= {"crm.db", "crm.db-wal"}
    assert "ledger.db-wal" in where(searched([company.folder], ours))

    end_all(company, case_ids)
    findings = searched(everywhere, marks)
    assert findings.hits == set()
    assert findings.files > 20
    assert any("record batch" in how for how in findings.opened), "Kafka's batches were opened"
    assert searched([company.folder], ours).hits == set()
    assert kept_secret(company) == []

    planted = company.folder / "planted"
    planted.write_bytes(b"\x00" * 999 + company.marks[0].encode())
    try:
        assert where(searched([company.folder], marks)) == {"planted"}
    finally:
        planted.unlink()


@pytest.mark.skipif(
    os.environ.get("LETHE_TEST_BROKER", "embedded") != "kafka",
    reason="the embedded broker compacts nothing; Apache Kafka does",
)
def test_s3_sealed_copies_leave_the_brokers_disk_too(
    company: Any, engines: Engines, eventually: Callable[..., Any]
) -> None:
    """What nobody can open any more is removed within the topics' bounds, made seconds here.

    Nothing else is written to most partitions; what the worker writes once an hour is enough.
    """
    case_ids = run_all(company, "copies")
    with company.ledger.reading() as connection:
        kept = list(connection.scalars(select(tables.cases.c.sealed)))
    copies = Words(b64decode(each) for sealed in kept for each in sealed.values())
    topics = topics_of(company.policy.departments)
    configs = {company.settings.topic(name): each.config for name, each in topics.items()}
    compacted = [company.settings.topic(f"cases-{each}") for each in company.policy.departments]
    submissions = company.settings.topic("form-submissions")
    data = engines.settings.data_dir / "kafka" / "data"
    broker = [each for topic in (*compacted, submissions) for each in data.glob(f"{topic}-?")]
    partitions = {Path(path).parent.name for path, *_ in searched(broker, copies).hits}
    assert {each.rpartition("-")[0] for each in partitions} == {*compacted, submissions}
    within = {"segment.ms": 1_000, "max.compaction.lag.ms": 1_000, "delete.retention.ms": 100}
    bootstrap = company.settings.kafka.bootstrap
    configure(
        bootstrap,
        dict.fromkeys(compacted, within) | {submissions: {"segment.ms": 1_000, "retention.ms": 1}},
    )
    try:
        end_all(company, case_ids)
        assert searched(broker, copies).hits
        time.sleep(within["segment.ms"] / 1000)
        company.rest()
        company.work("an-hour-later")
        eventually(
            lambda: not searched(broker, copies).hits,
            lambda: f"sealed copies to go: {sorted(searched(broker, copies).hits)}",
        )
    finally:  # or forms of the next test are deleted before they are read
        configure(bootstrap, {each: configs[each] for each in (*compacted, submissions)})
