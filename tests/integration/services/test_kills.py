"""SIGKILL at each step of a deletion, in the worker's own loops on a real broker (S3, S20).

Deletions go on where they were left; what is not to be deleted stays. For Apache Kafka alone:
groups of the embedded broker may wait for ever for a member that was killed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from privacy.certificate import canonical
from privacy.lifecycle import CaseState
from sinks.ledger import cases, deletion, tables
from sinks.signing import Signer, verify
from tests.chaos.report import TIMES
from tests.integration.killing import Kill, Point, killing

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]

LOOPS = {"cases", "closures", "delete", "receipts"}
ALL = 1_000_000  # more deletions than a night of kills asks for

POINTS = {
    "closures": [
        Point("streams.cases.closures:keep"),  # the cases have ended, uncommitted
        Point("streams.cases.closures:outbox.append"),  # and what is to be told of it
        Point("streams.cases.closures:Closures.batch"),  # committed
        Point("streams.cases.closures:jobs.finish"),
    ],
    "delete": [
        Point("sinks.ledger.deletion:shred", "before"),
        Point("sinks.ledger.deletion:keys.shred"),  # keys gone and cases not, uncommitted
        Point("sinks.ledger.deletion:shred"),
        Point("streams.deletion.shred:Shredder.shred"),  # committed
        Point("sinks.ledger.ledger:Ledger.checkpoint", "before"),
        Point("sinks.ledger.ledger:Ledger.checkpoint"),  # done and not noted
        Point("sinks.ledger.deletion:unreadable"),
        Point("streams.deletion.shred:Shredder.scrub"),  # noted
        Point("streams.deletion.shred:Shredder._send", "before"),
        Point("sinks.kafka:BatchProducer.send"),  # one topic of several may have been told
        Point("sinks.kafka:BatchProducer.stored", "before"),
        Point("sinks.kafka:BatchProducer.stored"),  # the broker knows, and we do not
        Point("sinks.ledger.deletion:announced"),
        Point("sinks.ledger.deletion:complete"),  # certified, uncommitted
        Point("streams.deletion.shred:Shredder.announce"),
    ],
    "cases": [
        Point("streams.cases.work:cases.add"),
        Point("streams.cases.transitions:cases.end"),
        Point("streams.lanes.ledgered:publish", "before"),  # committed, and nobody told
        Point("streams.lanes.ledgered:publish"),
        Point("streams.lanes.ledgered:commit", "before"),  # told, the position not committed
    ],
    "receipts": [
        Point("sinks.ledger.deletion:receive"),
        Point("sinks.ledger.deletion:complete"),
        Point("streams.lanes.ledgered:commit", "before"),
        Point("streams.lanes.ledgered:commit"),
    ],
}


@pytest.fixture(scope="module")
def staffed(idle_company: Any) -> Any:
    """Start collector, key server and holders, and no worker yet."""
    idle_company.collect()
    idle_company.serve_keys()
    idle_company.hold(*idle_company.policy.holders)
    return idle_company


@pytest.fixture
def kill(staffed: Any) -> Iterator[Kill]:
    with killing(staffed.settings) as ready:
        yield ready


@pytest.mark.parametrize("loop", POINTS)
def test_s3_a_kill_at_any_step_costs_nothing(
    staffed: Any,
    kill: Kill,
    eventually: Callable[..., Any],
    chaos_report: Callable[[str, int, int], None],
    loop: str,
) -> None:
    staffed.work("others", *LOOPS - {loop})
    gone, applied, kept = [], [], {}
    for number in range(TIMES):
        for point in POINTS[loop]:
            group = f"{loop}-{number}-{len(gone)}"
            held = [staffed.submit("contest", group=group) for _ in range(2)]
            applied.append(staffed.submit("job-application", group=group))
            alone = staffed.submit("survey", group=group)  # no holder has to answer for it
            gone += [*held, applied[-1], alone]
            fields = staffed.fill_in("contest")
            kept[staffed.submit("contest", group="kept", fields=fields)] = fields
            staffed.report("delivered", "contest", group=group)
            staffed.report("process_ended", "job-application", group=group)
            staffed.report("survey_closed", "survey", group=group)
            assert kill(loop, point) == -9, point
    staffed.work("at-last", loop)
    eventually(lambda: all_told(staffed, applied), "all applicants to be told")
    for each in applied:
        staffed.report("noticed", "job-application", case=each)
    eventually(lambda: len(certificates(staffed, gone)) == len(gone), "all certificates")

    public = Signer.under(staffed.settings.secrets).public
    for signed in certificates(staffed, gone).values():
        assert verify(public, canonical(signed["certificate"]), signed["signature"])
    with staffed.ledger.reading() as connection:
        assert not deletion.traces(connection, gone)
    for topic in ("cases-marketing", "cases-human-resources", "cases-research"):
        last = {each.key: each.record for each in staffed.messages(topic, "case")}
        assert not [each for each in gone if last.get(each) is not None]
    there = staffed.sees("marketing")
    assert not there.keys() & {*gone}
    for case_id, fields in kept.items():
        assert there[case_id].state == "open"
        assert there[case_id].fields["email"] == fields["email"]
    asked = staffed.messages("deletions", "deletion")
    assert not {each.record["case_id"] for each in asked} & kept.keys()
    staffed.rest()
    chaos_report("killed at a step of a deletion", len(kept), len(gone) + len(kept))


def all_told(company: Any, case_ids: list[str]) -> bool:
    """Tell whether the process is over for all, if they are not deleted already."""
    over = select(tables.cases.c.case_id).where(tables.cases.c.state == CaseState.OVER)
    with company.ledger.reading() as connection:
        found = {*connection.scalars(over), *cases.deleted(connection, case_ids)}
    return found >= {*case_ids}


def certificates(company: Any, case_ids: list[str]) -> dict[str, Any]:
    with company.ledger.reading() as connection:
        found = deletion.latest(connection, ALL)
    return {
        each.deletion.case_id: each.certificate
        for each in found
        if each.certificate and each.deletion.case_id in case_ids
    }
