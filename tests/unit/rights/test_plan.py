"""Which commands a request leads to, right by right."""

from dataclasses import replace
from typing import Any

import pytest

from privacy.consent import Decision
from privacy.lifecycle import CaseState
from privacy.policy import Policy
from privacy.rights.held import Held, HeldCase
from privacy.rights.plan import (
    ARTICLES,
    Act,
    Command,
    Plan,
    RefusalReason,
    Refused,
    Verdict,
    plan,
    refuse,
)
from privacy.rights.request import GROUNDS, Asked, Ground, Right

CONSENTS = {"ads": Decision.GIVEN, "profile": Decision.GIVEN, "analytics": Decision.REFUSED}


def _asked(right: Right, ground: Ground | None = None, **more: Any) -> Asked:
    fields: dict[str, Any] = {
        "email": "anne@example.com",
        "site": "shop.example",
        "cookie_id": "cookie",
        "language": "en",
        "service": None,
        "purposes": (),
        "corrections": {},
        "statement": None,
        "transfer_to": None,
        "answer": "token",
    }
    return Asked(right, ground, **fields | more)


def _case(policy: Policy, service: str, **more: Any) -> HeldCase:
    of = policy.services[service]
    fields: dict[str, Any] = {
        "list": of.list,
        "list_kind": None if of.list is None else policy.lists[of.list].kind,
        "further": False,
        "held": None,
        "claimed": False,
        "fields": frozenset({"email", "name"}),
    }
    return HeldCase(f"case-{service}", service, CaseState.OPEN, of.legal_basis, **fields | more)


@pytest.fixture
def held(policy: Policy) -> Held:
    """Return a case of each service, consents, a profile, and something at a provider."""
    return Held(
        cases=[_case(policy, each, further=each == "poll") for each in policy.services],
        consents=CONSENTS,
        providers=["ga4"],
        profile=True,
        restricted=False,
        visitor=True,
        subject=True,
    )


@pytest.fixture
def nothing() -> Held:
    return Held((), {}, (), profile=False, restricted=False, visitor=False, subject=True)


def _targets(of: Plan, act: Act) -> list[str]:
    return [each.target for each in of.commands if each.act == act]


def _acts(of: Plan) -> list[Act]:
    return [each.act for each in of.commands]


@pytest.mark.parametrize("right", list(Right))
def test_who_is_unknown_is_answered_too(policy: Policy, nothing: Held, right: Right) -> None:
    ground = next(iter(GROUNDS.get(right, ())), None)
    assert plan(_asked(right, ground), nothing, policy).commands[-1] == Command(Act.ANSWER)


def test_access_asks_holders_before_it_copies(policy: Policy, held: Held) -> None:
    found = plan(_asked(Right.ACCESS), held, policy)
    assert _targets(found, Act.DEMAND_EXPORT) == ["case-samples"]
    assert _acts(found)[-3:] == [Act.AWAIT_DEMANDS, Act.BUNDLE, Act.ANSWER]


@pytest.mark.parametrize("ground", GROUNDS[Right.ERASURE])
def test_erasure_is_of_everything_on_each_ground(
    policy: Policy, held: Held, ground: Ground
) -> None:
    found = plan(_asked(Right.ERASURE, ground), held, policy)
    kept = {"case-reports"} if ground == Ground.OBJECTED else set()
    assert set(_targets(found, Act.END_CASE)) == {each.case_id for each in held.cases} - kept
    assert found.refused == tuple(
        Refused("reports", RefusalReason.COMPELLING_GROUNDS) for _ in kept
    )
    assert set(_targets(found, Act.UNSUBSCRIBE)) == {"news", "club"}
    assert _acts(found)[0] == Act.SUPPRESS
    assert {Act.ERASE_VISITOR, Act.ERASE_PROFILE} <= set(_acts(found))
    assert _acts(found)[-5:] == [
        *(Act.AWAIT_DELETIONS, Act.AWAIT_REMOVALS),
        *(Act.CERTIFY, Act.ANSWER, Act.FORGET_VISITOR),
    ]


def test_a_claim_keeps_its_case_and_no_other(policy: Policy, held: Held) -> None:
    cases = [replace(each, claimed=each.service == "samples") for each in held.cases]
    asked = _asked(Right.ERASURE, Ground.UNLAWFUL)
    found = plan(asked, replace(held, cases=cases), policy)
    assert found.verdict == Verdict.PARTLY
    assert found.refused == (Refused("samples", RefusalReason.CLAIM),)
    assert "case-samples" not in _targets(found, Act.END_CASE)
    assert len(_targets(found, Act.END_CASE)) == len(cases) - 1


def test_what_is_erased_is_under_no_restriction_afterwards(policy: Policy, held: Held) -> None:
    asked = _asked(Right.ERASURE, Ground.UNLAWFUL)
    acts = _acts(plan(asked, replace(held, restricted=True), policy))
    assert acts.index(Act.NOTIFY_LIFTING) < acts.index(Act.LIFT_SUBJECT)
    assert acts.index(Act.ERASE_VISITOR) < acts.index(Act.LIFT_VISITOR)
    claimed = [replace(each, claimed=True) for each in held.cases]
    kept = replace(held, restricted=True, cases=claimed)
    assert Act.LIFT_SUBJECT not in _acts(plan(asked, kept, policy))


def test_holders_of_what_is_erased_under_a_restriction_may_erase_it(
    policy: Policy, held: Held
) -> None:
    cases = [replace(each, held="request-1") for each in held.cases]
    asked = _asked(Right.ERASURE, Ground.UNLAWFUL)
    found = plan(asked, replace(held, restricted=True, cases=cases), policy)
    lifted = _targets(found, Act.DEMAND_LIFT)
    assert lifted == [each.case_id for each in cases if policy.holders_of(each.service)]
    assert lifted


def test_a_service_that_goes_on_in_spite_of_an_objection_keeps_its_list(
    policy: Policy, held: Held
) -> None:
    assert policy.rights is not None
    rights = policy.rights.model_copy(update={"compelling": {"club": "It must go on."}})
    going_on = policy.model_copy(update={"rights": rights})
    for right, ground in (
        (Right.OBJECTION, Ground.LEGITIMATE_INTEREST),
        (Right.ERASURE, Ground.OBJECTED),
    ):
        found = plan(_asked(right, ground), held, going_on)
        assert "club" not in _targets(found, Act.UNSUBSCRIBE)


@pytest.mark.parametrize("ground", GROUNDS[Right.RESTRICTION])
def test_restriction_holds_both_and_tells_holders(
    policy: Policy, held: Held, ground: Ground
) -> None:
    found = plan(_asked(Right.RESTRICTION, ground), held, policy)
    assert _acts(found) == [
        *(Act.HOLD_SUBJECT, Act.HOLD_VISITOR, Act.DEMAND_HOLD),
        *(Act.AWAIT_DEMANDS, Act.ANSWER),
    ]


def test_lifting_is_told_before(policy: Policy, held: Held) -> None:
    cases = [replace(each, held="request-1") for each in held.cases]
    found = plan(_asked(Right.LIFTING), replace(held, restricted=True, cases=cases), policy)
    assert _acts(found) == [
        *(Act.NOTIFY_LIFTING, Act.LIFT_SUBJECT, Act.LIFT_VISITOR, Act.DEMAND_LIFT),
        *(Act.AWAIT_DEMANDS, Act.ANSWER),
    ]
    found = plan(_asked(Right.LIFTING), held, policy)
    assert found == refuse(RefusalReason.NOT_RESTRICTED)
    assert found.verdict == Verdict.REFUSED


def test_what_is_filled_in_is_corrected_everywhere(policy: Policy, held: Held) -> None:
    empty = [
        replace(each, fields=frozenset({"email"})) if each.service == "club" else each
        for each in held.cases
    ]
    held = replace(held, cases=empty)
    found = plan(_asked(Right.RECTIFICATION, corrections={"name": "Anne"}), held, policy)
    assert "case-club" not in _targets(found, Act.CORRECT_CASE)
    assert len(_targets(found, Act.CORRECT_CASE)) == len(empty) - 1
    assert _targets(found, Act.DEMAND_CORRECTION) == ["case-samples"]
    asked = _asked(Right.RECTIFICATION, corrections={"name": "Anne"}, service="club")
    assert _targets(plan(asked, held, policy), Act.CORRECT_CASE) == ["case-club"]


def test_interests_are_corrected_in_a_profile(policy: Policy, held: Held, nothing: Held) -> None:
    asked = _asked(Right.RECTIFICATION, corrections={"interests": "wine"})
    assert _acts(plan(asked, held, policy)) == [Act.CORRECT_PROFILE, Act.ANSWER]
    assert plan(asked, nothing, policy) == refuse(RefusalReason.NOTHING_TO_CORRECT)


def test_a_statement_goes_to_every_case(policy: Policy, held: Held, nothing: Held) -> None:
    asked = _asked(Right.RECTIFICATION, statement="It was the other way round.")
    found = plan(asked, held, policy)
    assert len(_targets(found, Act.CORRECT_CASE)) == len(held.cases)
    assert plan(asked, nothing, policy) == refuse(RefusalReason.NOTHING_TO_CORRECT)


def test_only_what_was_given_on_consent_or_contract_is_portable(policy: Policy, held: Held) -> None:
    found = plan(_asked(Right.PORTABILITY), held, policy)
    assert _acts(found) == [Act.PORTABLE, Act.ANSWER]
    assert {each.what for each in found.refused} == {"questions", "reports", "news"}
    one = plan(_asked(Right.PORTABILITY, service="reports"), held, policy)
    assert _acts(one) == [Act.ANSWER]
    assert one.verdict == Verdict.REFUSED
    sent = plan(_asked(Right.PORTABILITY, service="samples", transfer_to="other"), held, policy)
    assert _acts(sent) == [Act.PORTABLE, Act.TRANSFER, Act.ANSWER]


def test_an_objection_ends_what_stands_on_legitimate_interest(policy: Policy, held: Held) -> None:
    found = plan(_asked(Right.OBJECTION, Ground.LEGITIMATE_INTEREST), held, policy)
    assert set(_targets(found, Act.END_CASE)) == {"case-questions", "case-news"}
    assert _targets(found, Act.UNSUBSCRIBE) == ["news"]
    assert _targets(found, Act.OBJECT_PURPOSE) == ["analytics"]
    assert found.refused == (Refused("reports", RefusalReason.COMPELLING_GROUNDS),)


def test_profiling_ends_with_the_profile(policy: Policy, held: Held) -> None:
    found = plan(_asked(Right.OBJECTION, Ground.PROFILING), held, policy)
    assert found.commands == (
        Command(Act.OBJECT_PURPOSE, "profile"),
        Command(Act.ERASE_PROFILE),
        Command(Act.ANSWER),
    )


def test_direct_marketing_is_never_refused(policy: Policy, held: Held) -> None:
    cases = [replace(each, claimed=True, held="request-1") for each in held.cases]
    asked = _asked(Right.OBJECTION, Ground.DIRECT_MARKETING)
    found = plan(asked, replace(held, cases=cases, restricted=True), policy)
    assert found.refused == ()
    assert _targets(found, Act.UNSUBSCRIBE) == ["news"]
    assert _targets(found, Act.OBJECT_PURPOSE) == ["ads", "profile"]
    assert Act.AWAIT_REMOVALS in _acts(found)


def test_consent_is_withdrawn_as_far_as_was_asked(policy: Policy, held: Held) -> None:
    one = plan(_asked(Right.WITHDRAWAL, purposes=("ads",)), held, policy)
    assert _acts(one) == [Act.WITHDRAW_PURPOSE, Act.AWAIT_REMOVALS, Act.ANSWER]
    further = plan(_asked(Right.WITHDRAWAL, service="poll"), held, policy)
    assert further.commands == (Command(Act.WITHDRAW_FURTHER, "case-poll"), Command(Act.ANSWER))
    everything = plan(_asked(Right.WITHDRAWAL), held, policy)
    assert _targets(everything, Act.WITHDRAW_PURPOSE) == ["ads", "profile"]
    assert _targets(everything, Act.UNSUBSCRIBE) == ["club"]
    assert set(_targets(everything, Act.END_CASE)) == {"case-contest", "case-poll"}


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_a_refusal_has_its_article_and_is_answered(reason: RefusalReason) -> None:
    assert refuse(reason).verdict == Verdict.REFUSED
    assert _acts(refuse(reason)) == [Act.ANSWER]
    assert ARTICLES[reason].startswith("Art. ")
