"""Each row of a person's rights from the question to the answer, on real engines (S17 to S24).

Everybody asks twice over: one through HTTP and mail, one at the command line.
"""

import io
import json
import zipfile
from typing import Any

import pytest

from privacy.certificate import canonical
from privacy.rights.request import GROUNDS, Right
from sinks.signing import verify
from tests.integration.rights.office import BOTH, ON_KAFKA, Ask, Office, Way
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse, ON_KAFKA]


def sample(office: Office, email: str, **fields: Any) -> str:
    """Have somebody ask for a sample, whose case the CRM has; return the case."""
    case_id = office.submit("sample-request", fields={"email": email, **fields})
    office.crm.keep(case_id, office.sees_in("sales", case_id, "open").fields)
    return case_id


def signed(office: Office, file: bytes, what: str) -> dict[str, Any]:
    """Return what a file says that we signed."""
    whole = json.loads(file)
    content: dict[str, Any] = whole[what]
    public = office.lethe("deletions", "key")
    assert verify(public, canonical(content), whole["signature"])
    return content


def test_s17_an_objection_to_marketing_ends_it_and_one_to_compelling_grounds_does_not(
    office: Office,
) -> None:
    people = {way: office.person() for way in BOTH}
    letters = {
        way: [
            office.submit(name, fields={"email": each}) for name in ("newsletter", "notifications")
        ]
        for way, each in people.items()
    }
    for newsletter, notifications in letters.values():
        office.sees_in("marketing", newsletter, "open")
        until(lambda case=notifications: office.asks("customer-care", [case])[case], "its key")
    asks = [
        Ask(way, "objection", {"ground": ground, "email": people[way]})
        for way in BOTH
        for ground in ("direct_marketing", "legitimate_interest")
    ]
    for ask, done in zip(asks, office.exercise(*asks), strict=True):
        newsletter, notifications = letters[ask.way]
        if ask.more["ground"] == "direct_marketing":
            assert (done.verdict, done.refused) == ("granted", None)
            # By whichever of the two objections comes first.
            assert office.certified(newsletter)["cause"] in {"unsubscribed", "erasure"}
        else:
            assert done.refused == "notifications: compelling_grounds"
            assert "Art. 21(1) GDPR" in done.text
        assert not office.deletions(notifications)


def test_s17_an_objection_to_profiling_erases_the_profile(office: Office) -> None:
    visitors = {way: office.visitor() for way in BOTH}
    for each in visitors.values():
        epoch = office.choose(each, "given", "recommendations")
        office.visit(each, epoch, "/wounds/guide")
    for each in visitors.values():
        until(lambda who=each: office.told("profile", who)["interests"], "a profile")
    more = {"ground": "profiling"}
    done = office.exercise(
        *(Ask(way, "objection", {**more, "cookie_id": each}) for way, each in visitors.items())
    )
    for each, visitor in zip(done, visitors.values(), strict=True):
        assert each.verdict == "granted"
        assert not office.told("profile", visitor)["interests"]
        until(lambda who=visitor: not may(office, who, "recommendations"), "the objection")


def may(office: Office, visitor: str, purpose: str) -> bool:
    """Tell whether a visitor's data may be used for a purpose, as the site is told."""
    return bool(office.told("consent", visitor)["purposes"][purpose]["answer"] == "yes")


def test_s18_access_gives_all_that_is_held_and_explains_it(office: Office) -> None:
    asks, cases = [], []
    for way in BOTH:
        email, visitor = office.person(), office.visitor()
        office.choose(visitor, "given", "ads-audiences")
        until(lambda v=visitor: may(office, v, "ads-audiences"), "the consent")  # type: ignore[misc]
        cases.append(sample(office, email))
        asks.append(Ask(way, "access", {"email": email, "cookie_id": visitor, "language": "nl"}))
    for ask, case_id, done in zip(asks, cases, office.exercise(*asks), strict=True):
        archive = zipfile.ZipFile(io.BytesIO(done.file))
        files = {name: archive.read(name).decode() for name in archive.namelist()}
        fields = office.sees("sales")[case_id].fields
        for each in (*fields.values(), ask.more["cookie_id"], "ads-audiences"):
            assert json.dumps(each, ensure_ascii=False)[1:-1] in files["data.json"]
        assert done.did("demand_export") == "asked of crm"
        assert done.did("await_demands") == "1 of 1 demands done"
        explained = files["data.json"] + files["answer.html"]
        for each in (
            office.policy.services["sample-request"].title, "Customer database", "Art. 6(1)(b)",
            "EU-US Data Privacy Framework", "Art. 22 GDPR", "Art. 77",
            "Example Data Protection Authority",
        ):  # fmt: skip
            assert each in explained
        assert '<html lang="nl"' in files["answer.html"]
        assert any(name.endswith(".csv") for name in files)


def test_s19_a_correction_and_a_statement_reach_departments_and_holders(office: Office) -> None:
    people = {way: office.person() for way in BOTH}
    cases = {way: sample(office, each) for way, each in people.items()}
    name, said = f"Peeters {office.marks[0]}", f"The street is new {office.marks[0]}"
    more = {"corrections": {"last_name": name}, "statement": said}
    done = office.exercise(
        *(Ask(way, "rectification", {**more, "email": each}) for way, each in people.items())
    )
    for each, case_id in zip(done, cases.values(), strict=True):
        assert each.verdict == "granted"
        assert each.did("await_demands") == "1 of 1 demands done"
        for held in (office.sees("sales")[case_id].fields, office.crm.contacts()[case_id]):
            assert (held["last_name"], held["statement"]) == (name, said)


def test_s20_erasure_on_each_ground_erases_everywhere_and_is_certified(office: Office) -> None:
    asks, cases = [], []
    for number, ground in enumerate(GROUNDS[Right.ERASURE]):
        email = office.person()
        cases.append(sample(office, email))
        asks.append(Ask(BOTH[number % 2], "erasure", {"email": email, "ground": str(ground)}))
    for case_id, done in zip(cases, office.exercise(*asks), strict=True):
        assert done.verdict == "granted"
        assert office.certified(case_id)["cause"] == "erasure"
        assert case_id not in office.crm.contacts()
        (each,) = signed(office, done.file, "certificate")["deletions"]
        assert each["case_id"] == case_id


def test_s20_an_erased_visitor_is_answered_at_once(office: Office) -> None:
    visitors = {way: office.visitor() for way in BOTH}
    for each in visitors.values():
        office.visit(each, office.choose(each, "given", "ads-audiences"))
    more = {"ground": "consent_withdrawn"}
    done = office.exercise(
        *(Ask(way, "erasure", {**more, "cookie_id": each}) for way, each in visitors.items())
    )
    for each, visitor in zip(done, visitors.values(), strict=True):
        assert each.verdict == "granted"
        assert signed(office, each.file, "certificate")
        until(lambda v=visitor: not may(office, v, "ads-audiences"), "the erasure")  # type: ignore[misc]


def test_s20_a_legal_claim_keeps_a_case_from_erasure(office: Office) -> None:
    people = {way: office.person() for way in BOTH}
    cases = {way: sample(office, each) for way, each in people.items()}
    for each in cases.values():
        office.lethe("requests", "claim", each, "--because", "file 2027/4")
    more = {"ground": "unlawful"}
    done = office.exercise(
        *(Ask(way, "erasure", {**more, "email": each}) for way, each in people.items())
    )
    for each, case_id in zip(done, cases.values(), strict=True):
        assert each.refused == "sample-request: claim"
        assert "Art. 17(3)(e) GDPR" in each.text
        assert case_id in office.sees("sales")
        assert not office.deletions(case_id)


def test_s21_a_restriction_keeps_and_its_end_is_told_before(office: Office) -> None:
    people = {way: office.person() for way in BOTH}
    cases = {way: sample(office, each) for way, each in people.items()}
    more = {"ground": "accuracy_contested"}
    held = office.exercise(
        *(Ask(way, "restriction", {**more, "email": each}) for way, each in people.items())
    )
    for case_id in cases.values():
        office.report("delivered", "sample-request", case=case_id)
        assert office.asks("sales", [case_id]) == {case_id: None}
        assert case_id not in office.crm.contacts(), "the CRM uses it no more"
    by_letter = Ask(Way.HTTP, "lifting", {"email": people[Way.HTTP]})
    (lifted,) = office.exercise(by_letter)
    assert [each["act"] for each in lifted.steps][:2] == ["notify_lifting", "lift_subject"]
    office.letter(Way.HTTP, lifted.request_id, "lifting")
    by_operator = held[BOTH.index(Way.COMMAND)].request_id
    office.lethe("requests", "lift", by_operator, "--because", "file 2027/4")
    for case_id in cases.values():
        assert office.certified(case_id)["cause"] == "delivered", "what waited is done"


def test_s22_a_portable_copy_is_signed_and_can_be_sent_to_another(office: Office) -> None:
    people = {way: office.person() for way in BOTH}
    for each in people.values():
        sample(office, each)
    asks = [
        Ask(way, "portability", {"email": each, **to})
        for way, each in people.items()
        for to in ({}, {"transfer_to": "other-shop"})
    ]
    for ask, done in zip(asks, office.exercise(*asks), strict=True):
        copy = signed(office, done.file, "copy")
        assert ask.more["email"] in json.dumps(copy)
        if "transfer_to" in ask.more:
            assert done.did("transfer").startswith("received by other-shop: HTTP 201")
            assert office.other.taken[done.request_id] == done.file
        else:
            assert done.request_id not in office.other.taken


def test_s23_a_withdrawal_ends_a_consent_and_leaves_its_history(office: Office) -> None:
    people = {way: (office.person(), office.visitor()) for way in BOTH}
    for _, visitor in people.values():
        office.choose(visitor, "given", "ads-audiences", "recommendations")
        until(lambda who=visitor: may(office, who, "ads-audiences"), "the consent")
    more = {"purposes": ["ads-audiences"]}
    done = office.exercise(
        *(Ask(way, "withdrawal", {**more, "cookie_id": each}) for way, (_, each) in people.items())
    )
    for each, (_, visitor) in zip(done, people.values(), strict=True):
        assert each.verdict == "granted"
        until(lambda who=visitor: not may(office, who, "ads-audiences"), "the withdrawal")
        assert may(office, visitor, "recommendations")
        history = json.loads(
            office.lethe("consent", "history", "shop.example", visitor, "--format", "json")
        )
        ours = [each for each in history if each["purpose"] == "ads-audiences"]
        assert [each["decision"] for each in ours] == ["given", "withdrawn"]
        assert ours[0]["notice_version"] == "7"


@pytest.mark.parametrize("right", Right)
def test_s24_every_answer_names_the_authority(office: Office, right: Right) -> None:
    """Also that of people of whom nothing is held; a cookie's is fetched, an address's mailed."""
    more: dict[str, Any] = {"ground": str(GROUNDS[right][0])} if right in GROUNDS else {}
    if right is Right.RECTIFICATION:
        more = {"statement": "It is not so."}
    asks = [Ask(way, right, {**more, "email": office.person()}) for way in BOTH]
    if right is not Right.RECTIFICATION:
        asks += [Ask(way, right, {**more, "cookie_id": office.visitor()}) for way in BOTH]
    for ask, done in zip(asks, office.exercise(*asks), strict=True):
        if "email" in ask.more or right in {Right.RESTRICTION, Right.LIFTING}:
            office.names_authority(done.text)


def test_s24_who_is_refused_is_told_why_and_where_to_complain(office: Office) -> None:
    ask = Ask(Way.HTTP, "access", {"email": office.person()})
    request_id, _ = office.ask(ask)
    office.letter(Way.HTTP, request_id, "confirm")
    office.lethe(
        "requests", "refuse", request_id, "--reason", "unfounded", "--because", "file 2027/4"
    )
    done = office.answered(ask, request_id)
    assert (done.verdict, done.refused) == ("refused", "all: unfounded")
    assert "Art. 12(5) GDPR" in done.text
