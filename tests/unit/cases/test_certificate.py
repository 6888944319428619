import json
from dataclasses import replace
from typing import Any

import pytest

from privacy.certificate import (
    ERASURE,
    STEPS,
    Check,
    Deleted,
    Outcome,
    Receipt,
    canonical,
    certificate,
    lacking,
    readable,
)

NOON = 1_795_521_600_000  # 2026-11-24T12:00:00Z
DELETED = Deleted(
    deletion_id="d-1",
    case_id="c-1",
    service="sample",
    holders=["mail", "crm"],
    cause="delivered",
    cause_id="e-1",
    requested_at=NOON,
    deadline=NOON + 86_400_000,
    steps={"shredded": NOON + 10, "unreadable": NOON + 25, "announced": NOON + 1_040},
)
RECEIPTS = [
    Receipt("mail", Outcome.NOTHING_HELD, NOON + 2_000),
    Receipt("crm", Outcome.DONE, NOON + 3_000),
]
CHECKS = [Check("keys", "none of the case in the ledger", NOON + 4_000, passed=True)]


def made(deleted: Deleted = DELETED, completed_at: int = NOON + 5_000) -> dict[str, Any]:
    return certificate(
        deleted,
        RECEIPTS,
        CHECKS,
        controller="Example Trading",
        policy="3",
        completed_at=completed_at,
    )


def test_a_certificate_says_what_was_done_when_by_whom_and_how_it_was_verified() -> None:
    assert made() == {
        "format": "lethe-deletion/1",
        "controller": "Example Trading",
        "policy": "3",
        "deletion_id": "d-1",
        "case_id": "c-1",
        "service": "sample",
        "cause": "delivered",
        "cause_id": "e-1",
        "requested_at": "2026-11-24T12:00:00.000Z",
        "deadline": "2026-11-25T12:00:00.000Z",
        "completed_at": "2026-11-24T12:00:05.000Z",
        "in_time": True,
        "steps": [
            {"step": "shredded", "at": "2026-11-24T12:00:00.010Z"},
            {"step": "unreadable", "at": "2026-11-24T12:00:00.025Z"},
            {"step": "announced", "at": "2026-11-24T12:00:01.040Z"},
        ],
        "holders": [
            {"holder": "crm", "outcome": "done", "at": "2026-11-24T12:00:03.000Z"},
            {"holder": "mail", "outcome": "nothing_held", "at": "2026-11-24T12:00:02.000Z"},
        ],
        "checks": [
            {
                "what": "keys",
                "how": "none of the case in the ledger",
                "at": "2026-11-24T12:00:04.000Z",
            }
        ],
        "kept": [],
    }


def test_of_who_unsubscribed_it_says_what_stays() -> None:
    content = made(replace(DELETED, cause="unsubscribed"))
    assert "keyed hash of the address" in content["kept"][0]
    assert f"What stays\n  {content['kept'][0]}\n" in readable(content)
    assert "What stays" not in readable(made())


def test_s20_of_who_was_erased_it_says_what_stays() -> None:
    content = made(replace(DELETED, cause=ERASURE))
    suppressed, lists = content["kept"]
    assert "keyed hash of the address" in suppressed
    assert "mailing list" in lists
    assert f"What stays\n  {suppressed}\n  {lists}\n" in readable(content)


def test_one_that_is_late_says_so() -> None:
    late = made(completed_at=DELETED.deadline + 1)
    assert late["in_time"] is False
    assert "late" in readable(late)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_was_not_done_is_lacking(step: str) -> None:
    deleted = replace(DELETED, steps={**DELETED.steps, step: None})
    assert lacking(deleted, RECEIPTS, CHECKS) == [f"not {step}"]
    with pytest.raises(ValueError, match=step):
        made(deleted)


def test_a_holder_that_did_not_answer_or_failed_is_lacking() -> None:
    failed = [RECEIPTS[0], replace(RECEIPTS[1], outcome=Outcome.FAILED)]
    assert lacking(DELETED, RECEIPTS[:1], CHECKS) == ["no receipt of crm"]
    assert lacking(DELETED, failed, CHECKS) == ["crm failed"]


def test_what_was_not_verified_is_not_certified() -> None:
    found = replace(CHECKS[0], passed=False)
    assert lacking(DELETED, RECEIPTS, []) == ["not verified"]
    assert lacking(DELETED, RECEIPTS, [*CHECKS, found]) == ["keys: not gone"]


def test_the_receipt_of_a_stranger_is_not_in_it() -> None:
    stranger = Receipt("other", Outcome.DONE, NOON)
    with_it = certificate(
        DELETED,
        [*RECEIPTS, stranger],
        CHECKS,
        controller="Example Trading",
        policy="3",
        completed_at=NOON + 5_000,
    )
    assert with_it == made()


def test_what_is_signed_is_json_in_one_form() -> None:
    signed = canonical({"b": 1, "a": {"d": "Zoë", "c": True}})
    assert signed == '{"a":{"c":true,"d":"Zoë"},"b":1}'.encode()
    assert json.loads(canonical(made())) == made()


def test_people_can_read_it() -> None:
    lines = readable(made()).splitlines()
    assert lines[0] == "Certificate of deletion d-1"
    assert "  2026-11-24T12:00:00.010Z  " + STEPS["shredded"] in lines
    assert "  2026-11-24T12:00:03.000Z  crm deleted what it held" in lines
    assert "  2026-11-24T12:00:02.000Z  mail held nothing" in lines
    assert "  2026-11-24T12:00:04.000Z  keys: none of the case in the ledger" in lines
