"""A case is put right: its departments read the new values, the audit names fields alone (S18)."""

from base64 import b64decode
from typing import Any

from privacy.rights.plan import Act
from privacy.subjects import subject_id
from schemas.codec import decode

CORRECTED = {"corrections": {"city": "Bruges", "email": "anna@example.com"}}


def values(office: Any, case_id: str) -> dict[str, str]:
    sealed = {name: b64decode(each) for name, each in office.case(case_id).sealed.items()}
    return dict(office.opened(case_id, sealed))


def test_departments_read_the_new_values_and_what_the_person_adds(office: Any) -> None:
    office.begin("c")
    office.now += 5
    done = office.do(Act.CORRECT_CASE, "c", **CORRECTED, statement="I moved in May.")
    assert done.outcome == "corrected: city, email, statement"
    expected = {
        "email": "anna@example.com", "city": "Bruges", "pieces": "3",
        "statement": "I moved in May.",
    }  # fmt: skip
    assert values(office, "c") == expected
    [told] = office.sent
    record = decode("case", told.value)
    assert (told.target, told.key, record["department"]) == ("cases-care", b"c", "care")
    assert office.opened("c", record["sealed"]) == expected
    assert int(record["changed_at"].timestamp() * 1000) == office.now


def test_with_a_new_address_the_case_is_found_by_it(office: Any) -> None:
    office.begin("c")
    before = office.case("c").subject
    office.do(Act.CORRECT_CASE, "c", corrections={"city": "Bruges"})
    assert office.case("c").subject == before
    office.do(Act.CORRECT_CASE, "c", **CORRECTED)
    assert office.case("c").subject == subject_id(office.subject_key, "anna@example.com")


def test_what_the_form_would_refuse_is_refused_by_name(office: Any) -> None:
    office.begin("c")
    wrong = {"email": "nobody", "pieces": "many", "city": "Bruges"}
    done = office.do(Act.CORRECT_CASE, "c", corrections=wrong)
    assert done.outcome == "corrected: city; not as the form has it: email, pieces"
    assert values(office, "c") == {"email": "ann@example.com", "city": "Bruges", "pieces": "3"}
    done = office.do(Act.CORRECT_CASE, "c", corrections={"pieces": "4"})
    assert values(office, "c")["pieces"] == "4"


def test_what_was_left_empty_is_completed_where_the_service_is_named(office: Any) -> None:
    office.begin("c")
    office.do(Act.CORRECT_CASE, "c", corrections={"street": "1 Example Street"})
    assert "street" not in values(office, "c")
    assert not office.sent
    office.do(Act.CORRECT_CASE, "c", corrections={"street": "1 Example St."}, service="samples")
    assert values(office, "c")["street"] == "1 Example St."


def test_a_correction_that_is_done_again_changes_nothing(office: Any) -> None:
    office.begin("c")
    office.do(Act.CORRECT_CASE, "c", **CORRECTED)
    before = office.case("c")
    assert office.do(Act.CORRECT_CASE, "c", **CORRECTED).outcome == "nothing to correct"
    assert office.case("c") == before
    assert len(office.sent) == 1


def test_of_a_held_case_departments_are_told_when_it_is_let_go(office: Any) -> None:
    office.begin("c", held="hold-1")
    since = office.case("c").changed_at
    office.now += 5
    office.do(Act.CORRECT_CASE, "c", **CORRECTED)
    assert values(office, "c")["city"] == "Bruges"
    assert office.case("c").changed_at == since  # by which it is known that they know of it
    assert not office.sent


def test_a_case_that_is_over_is_left_alone(office: Any) -> None:
    assert office.do(Act.CORRECT_CASE, "gone", **CORRECTED).outcome == "was over already"
