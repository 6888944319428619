"""Who reads and writes what, with real logins: what the broker allows, and what is readable."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import AclBinding, AclBindingFilter, AdminClient
from typer.testing import CliRunner

from lethe import CasesRefusedError, Deletion, Ended, Outcome, RetentionWorker
from lethe.cli import app
from schemas.codec import decode, encode
from sinks.ledger import deletion
from sinks.ledger.ledger import Ledger
from streams import kafka_login
from streams.settings import Settings
from streams.shared import ledger_url, now

pytestmark = pytest.mark.kafka

Company = Any
Until = Callable[[Callable[[], bool]], None]
SALES = "lena@example.com"
HR = "omar@example.com"


def test_S2_a_department_is_refused_topics_and_groups_of_another(company: Company) -> None:  # noqa: N802
    company.submit("job", HR)
    sales = company.settings("department-sales")
    source = company.consumer(sales, "cases-hr", "department-sales.any")
    assert company.refusal(source) == "TOPIC_AUTHORIZATION_FAILED"
    source = company.consumer(sales, "cases-sales", "department-hr.any")
    assert company.refusal(source) == "GROUP_AUTHORIZATION_FAILED"
    assert company.write(sales, "cases-sales", None) == "TOPIC_AUTHORIZATION_FAILED"
    for group in (None, "any"):
        with pytest.raises(CasesRefusedError, match=r"^acl\.cases-hr .* acl\.department-hr,"):
            company.reader(sales, "hr", "sales", group)


def test_S2_who_has_the_topic_alone_has_ciphertext(company: Company) -> None:  # noqa: N802
    """The operator reads everything there is; with the token of a department, its cases alone."""
    case_id = company.submit("job", HR)
    for topic in ("form-submissions", "cases-hr"):
        found = company.read(topic)
        assert case_id.encode() in {each.key() for each in found}
        assert not [each for each in found if HR.encode() in (each.value() or b"")]
    with company.reader(company.operator, "hr", "sales") as reader:
        assert reader.present() == {}
    assert case_id not in company.cases("sales")


def test_a_holder_answers_for_deletions_and_has_nothing_else(company: Company) -> None:
    crm = company.settings("holder-crm")
    for topic in ("cases-sales", "form-submissions", "deletion-receipts-crm"):
        source = company.consumer(crm, topic, "retention-crm")
        assert company.refusal(source) == "TOPIC_AUTHORIZATION_FAILED"
    assert company.write(crm, "deletions", None) == "TOPIC_AUTHORIZATION_FAILED"
    assert company.write(crm, "service-events", None) == "TOPIC_AUTHORIZATION_FAILED"
    assert company.write(crm, "deletion-receipts-mail", None) == "TOPIC_AUTHORIZATION_FAILED"


def test_from_form_to_certificate_with_these_rights_alone(company: Company, until: Until) -> None:
    case_id = company.submit("sample", SALES)
    sales, crm = company.settings("department-sales"), company.settings("holder-crm")
    event = {
        "event_id": f"delivered-{case_id}", "service": "sample", "event": "delivered",
        "case_id": case_id, "group": None, "at": now(), "by": "sales", "details": {},
    }  # fmt: skip
    value = encode("service_event", event)
    assert company.write(sales, "service-events", value, case_id.encode()) == ""
    with company.reader(sales, "sales", "sales", "crm") as reader:
        until(lambda: Ended(case_id) in reader.poll())
    erased: list[str] = []

    def erase(one: Deletion) -> Outcome:
        erased.append(one.case_id)
        return Outcome.DONE

    login: dict[str, Any] = {"prefix": crm.kafka.prefix, **kafka_login.python_options(crm)}
    with RetentionWorker(crm.kafka.bootstrap, "crm", **login) as holder:
        until(lambda: holder.turn(erase) >= 0 and case_id in erased)
    ledger = Ledger.open(ledger_url(company.operator))
    until(lambda: certified(ledger, case_id))
    ledger.close()
    assert company.worker.alive()


def certified(ledger: Ledger, case_id: str) -> bool:
    with ledger.reading() as connection:
        progress = deletion.show(connection, case_id)
    return progress is not None and progress.certificate is not None


def test_consent_and_events_pass_with_these_rights_alone(company: Company) -> None:
    visitor = {"cookie_id": "visitor-000001"}
    consent = {
        **visitor, "purpose": "ads", "decision": "given", "notice_id": "banner",
        "notice_version": "1", "how": "banner",
    }  # fmt: skip
    company.post("/v1/consent", consent)
    company.post("/v1/events", {**visitor, "type": "page_view", "page": "/"})
    for topic, record in (
        ("consent-state", "consent_state"),
        ("tracking-anonymised", "anonymised_event"),
    ):
        assert decode(record, company.read(topic)[0].value())
    assert company.worker.alive()


def test_what_the_broker_has_beside_the_list_is_told_and_stays(
    company: Company, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in company.operator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    apply = ("topics", "acls", "--apply")
    done = CliRunner().invoke(app, apply)
    assert (done.exit_code, done.output) == (0, "0 ACLs added\n")
    right, wrong = company.acls[0], to_read(company, "department-sales", "cases-hr")
    admin = admin_of(company.operator)
    for each in (*admin.create_acls([wrong]).values(), *admin.delete_acls([only(right)]).values()):
        each.result(30)

    def has(acl: AclBinding) -> bool:
        return bool(admin.describe_acls(only(acl)).result(30) == [acl])

    try:
        # Kafka's controller knows; the broker hears of it a moment later.
        until(lambda: has(wrong) and not has(right))
        done = CliRunner().invoke(app, apply)
        assert (done.exit_code, "1 ACLs added" in done.output) == (1, True)
        assert done.output.count(wrong.principal) == done.output.count(wrong.name) == 1
        until(lambda: has(right))
        assert has(wrong)
    finally:
        for each in admin.delete_acls([only(wrong)]).values():
            each.result(30)
        until(lambda: not has(wrong))  # or others are let in where they are to be refused


def to_read(company: Company, party: str, topic: str) -> AclBinding:
    """Return what would let a party read a topic."""
    principal = f"User:{company.settings(party).kafka.options['sasl.username']}"
    return AclBinding("topic", company.topic(topic), "literal", principal, "*", "read", "allow")


def only(acl: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(*acl._to_tuple())


def admin_of(settings: Settings) -> AdminClient:
    given = {"bootstrap.servers": settings.kafka.bootstrap, "log_level": 0}
    return AdminClient({**given, **kafka_login.options(settings)})
