"""Holders outside are asked once, open what they are told, and are waited for (S17 to S21)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from privacy.certificate import Outcome
from privacy.rights.plan import Act
from schemas.codec import decode
from sinks.keys.demands import open_told
from sinks.ledger import demands
from streams.keys.tokens import of_holder
from streams.rights import recipients
from streams.rights.doing import Done, Later

HOUR_MS = 3_600_000
RECORDS = {"corrections": "correction", "holds": "hold", "exports": "export"}


def told(office: Any) -> list[tuple[str, bytes, dict[str, Any]]]:
    return [
        (each.target, each.key, decode(RECORDS[each.target], each.value)) for each in office.sent
    ]


def answer(office: Any, holder: str, outcome: Outcome = Outcome.DONE) -> None:
    [demand] = office.demands()
    with office.ledger.transaction() as connection:
        demands.receive(connection, [(demand.demand_id, holder, outcome, office.now, None)])
        demands.complete(connection, [demand.demand_id], office.now)


def test_a_correction_is_sealed_for_the_holders_asked(office: Any) -> None:
    office.begin("c")
    new = {"city": "Bruges", "pieces": "many", "street": "unknown to the case"}
    done = office.do(Act.DEMAND_CORRECTION, "c", corrections=new, statement="I moved.")
    assert done.outcome == "asked of crm, mail"
    [(topic, key, record)] = told(office)
    assert (topic, key, record["case_id"]) == ("corrections", b"c", "c")
    demand_id, sealed = record["demand_id"], record["sealed"]
    assert record["holders"] == ["crm", "mail"]
    assert record["deadline"] == datetime.fromtimestamp(office.now / 1000 + 72 * 3600, UTC)
    for holder in ("crm", "mail"):
        theirs = office.key_of(demand_id, of_holder(holder))
        opened = open_told(theirs, demand_id, sealed, record["key_version"])
        assert opened == {"city": "Bruges", "statement": "I moved."}
    assert office.key_of(demand_id, "care") is None
    assert "Bruges" not in repr(office.sent)


@pytest.mark.parametrize(
    ("act", "topic", "kind"),
    [
        (Act.DEMAND_HOLD, "holds", "restriction"),
        (Act.DEMAND_LIFT, "holds", "lifting"),
        (Act.DEMAND_EXPORT, "exports", None),
    ],
)
def test_holds_and_exports_name_the_case_alone(
    office: Any, act: Act, topic: str, kind: str | None
) -> None:
    office.begin("c")
    office.do(act, "c")
    [(target, _, record)] = told(office)
    assert (target, record.get("kind")) == (topic, kind)
    has_key = office.key_of(record["demand_id"], of_holder("crm")) is not None
    assert has_key == (act is Act.DEMAND_EXPORT)


def test_a_step_that_is_done_again_asks_nobody_again(office: Any) -> None:
    office.begin("c")
    for _ in range(2):
        assert office.do(Act.DEMAND_EXPORT, "c").outcome == "asked of crm, mail"
    assert len(office.sent) == len(office.demands()) == 1


def test_where_nobody_outside_has_anything_it_is_done(office: Any) -> None:
    office.begin("a", service="alone")
    assert office.do(Act.DEMAND_EXPORT, "a").outcome == "no holder outside"
    assert office.do(Act.DEMAND_EXPORT, "gone").outcome == "was over already"
    office.begin("c")
    refused = office.do(Act.DEMAND_CORRECTION, "c", corrections={"pieces": "many"})
    assert refused.outcome == "nothing that a holder could correct"
    assert not office.sent
    assert office.do(Act.AWAIT_DEMANDS).outcome == "0 of 0 demands done"


def test_all_holders_are_waited_for(office: Any) -> None:
    office.begin("c")
    office.do(Act.DEMAND_HOLD, "c")
    assert isinstance(office.do(Act.AWAIT_DEMANDS), Later)
    answer(office, "crm", Outcome.NOTHING_HELD)
    answer(office, "mail", Outcome.FAILED)
    assert isinstance(office.do(Act.AWAIT_DEMANDS), Later)
    answer(office, "mail")
    assert office.do(Act.AWAIT_DEMANDS) == Done("1 of 1 demands done")


def test_a_holder_that_is_late_is_named_and_holds_up_no_answer(office: Any) -> None:
    office.begin("c")
    office.do(Act.DEMAND_HOLD, "c")
    answer(office, "mail")
    [demand] = office.demands()
    office.now = demand.deadline - 1
    assert office.do(Act.AWAIT_DEMANDS) == Later(demand.deadline)
    office.now = demand.deadline
    done = office.do(Act.AWAIT_DEMANDS)
    assert done == Done("0 of 1 demands done; not answered by crm")
    doing = office.doing(Act.ANSWER)
    with office.ledger.reading() as connection:  # it still has to, and is overdue
        assert recipients.silent(connection, office.policy, doing) == ["The CRM"]
        [late] = demands.late(connection, office.now + 1)
    assert (late.holder, late.count) == ("crm", 1)


def test_no_holder_is_waited_for_until_no_answer_is_in_time(office: Any) -> None:
    office.begin("c")
    office.do(Act.DEMAND_HOLD, "c")
    request = office.doing(Act.AWAIT_DEMANDS).request
    office.now = request.deadline - 80 * HOUR_MS
    with office.ledger.transaction() as connection:
        connection.execute(demands.demands.update().values(deadline=request.deadline))
    assert isinstance(office.do(Act.AWAIT_DEMANDS), Later)
    office.now = request.deadline - 72 * HOUR_MS
    assert isinstance(office.do(Act.AWAIT_DEMANDS), Done)
