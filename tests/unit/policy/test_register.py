"""The record of processing activities says what Art. 30(1) GDPR wants, of everything."""

from pathlib import Path

import pytest

from privacy.lifecycle import LIFE_CYCLES
from privacy.policy import Policy
from privacy.policy.register import MEASURES, Entry, register
from privacy.unsubscribe import KEPT
from streams.policy import load, parse

REFERENCE = Path(__file__).parents[3] / "deploy/policy/reference.toml"


@pytest.fixture
def policy(text: str) -> Policy:
    return parse(text, "p.toml")


def entry(policy: Policy, name: str) -> Entry:
    return next(each for each in register(policy).entries if each.name == name)


def test_a_service_is_recorded_with_all_that_the_article_wants(policy: Policy) -> None:
    assert entry(policy, "services.sample") == Entry(
        name="services.sample",
        title="Samples",
        purposes=("Delivering samples",),
        legal_basis="Art. 6(1)(b) GDPR",
        persons=("people who fill in the form",),
        data=["E-mail address", "Size"],
        recipients=["Sales", "Customer database", "the carrier"],
        transfers=["Customer database: US (standard contractual clauses)"],
        kept_until="the sample is delivered, or the request is withdrawn",
    )


def test_what_a_separate_consent_prolongs_is_said(policy: Policy) -> None:
    rule = LIFE_CYCLES[policy.services["poll"].life_cycle].kept_until
    assert entry(policy, "services.poll").kept_until == f"{rule} (comparing years)"


def test_a_list_has_the_holders_of_the_services_that_join_it(text: str) -> None:
    text = text.replace('services = ["sample"]', 'services = ["sample", "news"]')
    found = entry(parse(text, "p.toml"), "lists.news")
    assert found.recipients == ["Customer database"]
    assert found.transfers == ["Customer database: US (standard contractual clauses)"]


def test_what_stays_of_who_unsubscribed_is_said(policy: Policy) -> None:
    found = entry(policy, "lists.news")
    assert any("keyed hash" in each for each in found.data)
    assert KEPT in found.kept_until


def test_the_providers_of_a_purpose_are_its_recipients(text: str) -> None:
    there = 'third_country = "US"\nsafeguard = "an adequacy decision"\n'
    text = text.replace("[providers.x]\n", f"[providers.x]\n{there}")
    policy = parse(text, "p.toml")
    assert entry(policy, "purposes.ads").recipients == ["meta", "x"]
    assert entry(policy, "purposes.ads").transfers == ["x: US (an adequacy decision)"]
    assert entry(policy, "purposes.reading").recipients == []


def test_nothing_that_is_processed_is_left_out(policy: Policy) -> None:
    assert [each.name for each in register(policy).entries] == [
        *(f"services.{each}" for each in policy.services),
        *(f"lists.{each}" for each in policy.lists),
        *(f"purposes.{each}" for each in policy.purposes),
        "rights",
        *(f"activities.{each}" for each in policy.activities),
    ]


def test_who_answers_people_and_where_copies_may_go_is_recorded(policy: Policy) -> None:
    found = entry(policy, "rights")
    assert found.recipients == ["Sales", "Another shop, if the person has a copy sent there"]
    assert found.transfers == ["Another shop: US (an adequacy decision)"]
    assert found.kept_until.startswith("72 hours after the last letter; ")


def test_a_policy_without_rights_records_none(text: str) -> None:
    policy = parse(text.partition("[rights]")[0], "p.toml")
    assert "rights" not in [each.name for each in register(policy).entries]


def test_the_companys_own_measures_follow_the_pipelines(text: str) -> None:
    policy = parse(text.replace("[controller]", 'security = ["locks"]\n[controller]'), "p.toml")
    assert register(policy).security == (*MEASURES, "locks")


def test_the_reference_policy_leaves_nothing_of_the_record_open() -> None:
    policy = load(REFERENCE)
    made = register(policy)
    assert made.controller.data_protection_officer
    assert made.authority
    for each in made.entries:
        for said in (each.purposes, each.legal_basis, each.persons, each.data, each.kept_until):
            assert said, each.name
