"""Any request about anything held gets a plan, and no plan does what the law forbids."""

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from privacy.consent import Decision
from privacy.lifecycle import CaseState
from privacy.policy import Policy
from privacy.rights.held import Held, HeldCase
from privacy.rights.plan import Act, Command, RefusalReason, Verdict, plan
from privacy.rights.request import GROUNDS, LANGUAGES, Asked, Ground, Right

POLICY = Policy.model_validate(
    tomllib.loads((Path(__file__).parents[2] / "rights.toml").read_text())
)
OF_CASES = frozenset(
    each
    for each in Act
    if each.endswith("_case") or each.startswith("demand_") or each is Act.WITHDRAW_FURTHER
)


@st.composite
def _cases(draw: st.DrawFn, number: int) -> HeldCase:
    service = draw(st.sampled_from(sorted(POLICY.services)))
    of = POLICY.services[service]
    return HeldCase(
        case_id=f"case-{number}",
        service=service,
        state=draw(st.sampled_from([CaseState.OPEN, CaseState.OVER, CaseState.KEPT])),
        legal_basis=of.legal_basis,
        list=of.list,
        list_kind=None if of.list is None else POLICY.lists[of.list].kind,
        further=draw(st.booleans()),
        held=draw(st.sampled_from([None, "request-1"])),
        claimed=draw(st.booleans()),
        fields=frozenset(draw(st.sets(st.sampled_from(sorted(of.fields))))),
    )


@st.composite
def _held(draw: st.DrawFn) -> Held:
    subject, visitor = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    many = draw(st.integers(0, 6)) if subject else 0
    consents = st.dictionaries(st.sampled_from(sorted(POLICY.purposes)), st.sampled_from(Decision))
    return Held(
        cases=[draw(_cases(number)) for number in range(many)],
        consents=draw(consents) if visitor else {},
        providers=draw(st.sampled_from([[], ["ga4"]])) if visitor else [],
        profile=visitor and draw(st.booleans()),
        restricted=draw(st.booleans()),
        visitor=visitor,
        subject=subject,
    )


@st.composite
def _asked(draw: st.DrawFn, right: Right | None = None, ground: Ground | None = None) -> Asked:
    right = right or draw(st.sampled_from(Right))
    grounds = GROUNDS.get(right)
    values = st.dictionaries(st.sampled_from(["email", "name", "interests"]), st.text(max_size=5))
    return Asked(
        right=right,
        ground=ground or (draw(st.sampled_from(grounds)) if grounds else None),
        email="anne@example.com",
        site="shop.example",
        cookie_id="cookie",
        language=draw(st.sampled_from(LANGUAGES)),
        service=draw(st.none() | st.sampled_from(sorted(POLICY.services))),
        purposes=tuple(draw(st.sets(st.sampled_from(sorted(POLICY.purposes))))),
        corrections=draw(values),
        statement=draw(st.none() | st.just("It was so.")),
        transfer_to=draw(st.sampled_from([None, "other"])),
        answer="token",
    )


@given(_asked(), _held())
def test_every_request_is_answered_once_everything_else_is_done(asked: Asked, held: Held) -> None:
    found = plan(asked, held, POLICY)
    behind = found.commands[found.commands.index(Command(Act.ANSWER)) + 1 :]
    assert set(behind) <= {Command(Act.FORGET_VISITOR)}
    assert len(set(found.commands)) == len(found.commands)
    assert found.verdict != Verdict.REFUSED or found.refused


@given(_asked(), _held())
def test_nothing_under_a_claim_is_ended(asked: Asked, held: Held) -> None:
    claimed = {each.case_id for each in held.cases if each.claimed}
    ended = {each.target for each in plan(asked, held, POLICY).commands if each.act is Act.END_CASE}
    assert not claimed & ended


@given(_asked(), _held())
def test_no_case_of_another_is_touched(asked: Asked, held: Held) -> None:
    mine = {each.case_id for each in held.cases}
    touched = {each.target for each in plan(asked, held, POLICY).commands if each.act in OF_CASES}
    assert touched <= mine


@given(_asked(Right.ERASURE), _held())
def test_erasure_is_of_all_that_no_refusal_names(asked: Asked, held: Held) -> None:
    found = plan(asked, held, POLICY)
    ended = {each.target for each in found.commands if each.act is Act.END_CASE}
    refused = {each.what for each in found.refused}
    acts = {each.act for each in found.commands}
    assert all(each.case_id in ended or each.service in refused for each in held.cases)
    assert not held.visitor or {Act.ERASE_VISITOR, Act.FORGET_VISITOR} <= acts
    assert not held.profile or Act.ERASE_PROFILE in acts
    assert not held.subject or Act.SUPPRESS in acts


@given(_asked(Right.OBJECTION, Ground.DIRECT_MARKETING), _held())
def test_marketing_always_ends(asked: Asked, held: Held) -> None:
    found = plan(asked, held, POLICY)
    assert not found.refused
    assert not held.subject or Command(Act.UNSUBSCRIBE, "news") in found.commands
    assert not held.visitor or Command(Act.OBJECT_PURPOSE, "ads") in found.commands


@given(_asked(), _held())
def test_a_restriction_never_ends_without_notice(asked: Asked, held: Held) -> None:
    acts = [each.act for each in plan(asked, held, POLICY).commands]
    for lifting in {Act.LIFT_SUBJECT, Act.LIFT_VISITOR} & {*acts}:
        assert acts.index(Act.NOTIFY_LIFTING) < acts.index(lifting)


@given(_asked(Right.OBJECTION, Ground.LEGITIMATE_INTEREST), _held())
def test_compelling_grounds_keep_no_marketing(asked: Asked, held: Held) -> None:
    for refused in plan(asked, held, POLICY).refused:
        if refused.reason is RefusalReason.COMPELLING_GROUNDS:
            assert POLICY.services[refused.what].list is None
