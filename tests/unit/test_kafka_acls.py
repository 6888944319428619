"""What the list of ACLs gives to whom; tests/integration/access has it judged by a broker."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.admin import AclBinding
from hypothesis import given
from hypothesis import strategies as st

from schemas.registry import topics
from sinks import kafka_acls
from sinks.kafka_acls import CLIENTS, _reaches, acls
from streams.status import readers

NAMES = st.sets(st.from_regex(r"[a-z][a-z0-9-]{0,5}", fullmatch=True), max_size=6)


def policy(departments: Any = (), holders: Any = (), answers: str | None = None) -> Any:
    """Return what of a policy matters here; ``answers``: the department that people's requests."""
    return SimpleNamespace(
        departments=dict.fromkeys(departments),
        holders=dict.fromkeys(holders),
        rights=None if answers is None else SimpleNamespace(department=answers),
    )


def of(principal: str, found: list[AclBinding]) -> set[tuple[str, str, str, str]]:
    return {
        (each.restype.name, each.name, each.resource_pattern_type.name, each.operation.name)
        for each in found
        if each.principal == f"User:{principal}"
    }


def test_S2_a_department_has_its_own_topic_and_groups() -> None:  # noqa: N802
    found = acls(policy(["sales", "hr"], ["crm"]), "test.")
    assert of("test.department-sales", found) == {
        ("TOPIC", "test.cases-sales", "LITERAL", "READ"),
        ("TOPIC", "test.notices", "LITERAL", "READ"),
        ("TOPIC", "test.service-events", "LITERAL", "WRITE"),
        ("GROUP", "test.department-sales.", "PREFIXED", "READ"),
    }
    assert of("test.holder-crm", found) == {
        *(
            ("TOPIC", f"test.{each}", "LITERAL", "READ")
            for each in ("deletions", "corrections", "holds", "exports")
        ),
        ("TOPIC", "test.deletion-receipts-crm", "LITERAL", "WRITE"),
        ("GROUP", "test.retention-crm", "LITERAL", "READ"),
        ("GROUP", "test.rights-crm", "LITERAL", "READ"),
    }


def test_letters_are_for_the_department_that_answers_requests_alone() -> None:
    def readers(found: list[AclBinding]) -> set[tuple[str, str]]:
        return {(each.principal, each.name) for each in found if "letters" in each.name.split(".")}

    found = acls(policy(["sales", "hr"], answers="hr"), "test.")
    may = {
        ("TOPIC", "test.letters", "LITERAL", "READ"),
        ("GROUP", "test.letters.", "PREFIXED", "READ"),
    }
    assert may <= of("test.department-hr", found)
    writes = ("User:test.worker", "test.letters")
    hr = "User:test.department-hr"
    assert readers(found) == {writes, (hr, "test.letters"), (hr, "test.letters.")}
    assert readers(acls(policy(["sales", "hr"]), "test.")) == {writes}


@given(NAMES, NAMES)
def test_no_department_and_no_holder_reaches_what_is_anothers(
    departments: set[str], holders: set[str]
) -> None:
    """Also where one's name begins with another's."""
    found = acls(policy(departments, holders), "p.")
    read = [each for each in found if each.operation.name == "READ"]
    for one in departments:
        topics = {name for kind, name, *_ in of(f"p.department-{one}", read) if kind == "TOPIC"}
        assert topics == {f"p.cases-{one}", "p.notices"}
    for one in holders:
        written = {name for _, name, _, what in of(f"p.holder-{one}", found) if what == "WRITE"}
        assert written == {f"p.deletion-receipts-{one}"}
    groups = [each for each in read if each.restype.name == "GROUP"]
    for one in groups:
        for other in groups:
            whole = one.resource_pattern_type.name == "LITERAL"
            held = one.name == other.name if whole else other.name.startswith(one.name)
            assert not held or one.principal == other.principal


def test_nothing_is_allowed_by_wildcard_or_outside_the_installation() -> None:
    found = acls(policy(["sales"], ["crm"]), "test.")
    for each in found:
        assert each.permission_type.name == "ALLOW"
        assert each.principal.startswith("User:test.")
        assert each.name.startswith("test.")
        assert each.name != "test."
        assert each.restype.name == "GROUP" or each.resource_pattern_type.name == "LITERAL"
    assert len(set(found)) == len(found)


def test_the_worker_may_read_where_its_lanes_do() -> None:
    may = of("worker", acls(policy(holders=["crm", "mail"])))
    begins = tuple(name for _, name, pattern, _ in may if pattern == "PREFIXED")
    for group, topic in readers(["crm", "mail"]):
        assert ("TOPIC", topic, "LITERAL", "READ") in may
        assert ("GROUP", group, "LITERAL", "READ") in may or group.startswith(begins)


def test_what_the_catalogue_names_has_a_principal(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {name for each in topics().values() for name in (*each.producers, *each.consumers)}
    assert named <= CLIENTS.keys()
    monkeypatch.setattr(kafka_acls, "CLIENTS", {**CLIENTS, "sdk": CLIENTS["cases"]})
    monkeypatch.delitem(kafka_acls.CLIENTS, "mail-system")
    with pytest.raises(ValueError, match=r"^no principal is known for mail-system$"):
        acls(None)


@pytest.mark.parametrize(
    ("kind", "name", "pattern", "ours"),
    [
        ("topic", "test.cases-hr", "literal", True),
        ("topic", "other.cases-hr", "literal", False),
        ("topic", "*", "literal", True),
        ("topic", "te", "prefixed", True),
        ("group", "test.any", "prefixed", True),
        ("topic", "other.", "prefixed", False),
        ("broker", "kafka-cluster", "literal", True),
    ],
)
def test_what_else_is_on_the_broker_is_ours_if_it_reaches_us(
    kind: str, name: str, pattern: str, ours: bool
) -> None:
    acl = AclBinding(kind, name, pattern, "User:anybody", "*", "read", "allow")
    assert _reaches(acl, "test.") is ours
