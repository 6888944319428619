"""SIGKILL at each step of a request, in the worker's own loops on a real broker (S17, S20).

Each is answered once, with no step left out, and nobody else's cases are erased. For Apache Kafka
alone: groups of the embedded broker may wait for ever for a member that was killed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from lethe import holding
from privacy.durations import HOUR_MS
from privacy.rights.plan import Act
from sinks.ledger import deletion, keys, requests, tables
from sinks.ledger.requests import State
from streams.rights.desk import Desk
from streams.shared import Shared, now
from streams.subject_requests import REQUESTS
from tests.chaos.report import TIMES
from tests.integration.company import HOLDERS_WAIT_SECONDS, Company, of_company
from tests.integration.killing import Kill, Point, killing
from tests.integration.rights.conftest import REFERENCE
from tests.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]

SERVICE, DEPARTMENT = "information-request", "customer-care"
LOOPS = {"cases", "closures", "delete", "receipts", "requests", "rights"}
FORGET = {"right": "erasure", "ground": "consent_withdrawn"}
ERASURE = [Act.SUPPRESS, Act.END_CASE, Act.AWAIT_DELETIONS, Act.CERTIFY, Act.ANSWER]
ACCESS = [Act.DEMAND_EXPORT, Act.AWAIT_DEMANDS, Act.BUNDLE, Act.ANSWER]

# Of a lane, what all lanes do is killed in the tests of deletion.
POINTS = {
    "requests": [
        Point("streams.rights.lane:requests.confirm"),  # confirmed, uncommitted
        Point("streams.lanes.ledgered:publish", "before"),  # committed, and nobody told
    ],
    "rights": [
        Point("streams.rights.engine:plan", "before"),
        Point("streams.rights.engine:plan"),
        Point("streams.rights.engine:keep"),  # planned, uncommitted
        Point("streams.rights.cases:CaseActs.end", "before"),
        Point("streams.rights.cases:CaseActs.end"),
        Point("streams.rights.cases:suppressed.put"),
        Point("streams.rights.demands:demands.add"),
        Point("streams.rights.engine:requests.done", "before"),
        Point("streams.rights.engine:requests.done"),  # noted, uncommitted
        Point("streams.rights.engine:outbox.append"),
        Point("sinks.kafka:BatchProducer.send", "before"),  # committed, and nobody told
        Point("sinks.kafka:BatchProducer.send"),
        Point("sinks.kafka:BatchProducer.stored"),  # the broker knows, and we do not
        Point("sinks.ledger.outbox:sent"),
        Point("streams.rights.engine:Engine.turn"),
        Point("streams.rights.engine:Engine._go_outside", "before"),  # leased, and nobody at work
        Point("streams.rights.answers:AnswerActs.bundle"),  # made, and not noted
        Point("streams.rights.engine:Engine._go_outside"),
        Point("sinks.ledger.answers:put"),
        Point("streams.rights.letters:Letters.answer", "before"),
        Point("streams.rights.letters:Letters.answer"),
        Point("streams.rights.engine:requests.answered"),
        Point("streams.rights.closing:requests.close", "before"),
        Point("streams.rights.closing:requests.close"),  # keys gone, uncommitted
        Point("sinks.ledger.ledger:Ledger.checkpoint", "before"),  # gone, the log not emptied
    ],
}


@pytest.fixture(scope="module")
def staffed(settings_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Start collector, key server and holders, and no worker yet."""
    folder = tmp_path_factory.mktemp("company")
    with settings_in(folder / "data") as settings, pytest.MonkeyPatch.context() as patch:
        patch.setattr(holding, "WAIT_SECONDS", HOLDERS_WAIT_SECONDS)
        made = Company(of_company(settings, folder, REFERENCE), folder)
        made.collect()
        made.serve_keys()
        made.hold(*made.policy.holders)
        yield made
        made.stop()


@pytest.fixture
def kill(staffed: Company) -> Iterator[Kill]:
    with killing(staffed.settings) as ready:
        yield ready
    staffed.rest()


class People:
    """Who asks: some to be forgotten, as many to see what is held of them."""

    def __init__(self, company: Company) -> None:
        shared = Shared(company.settings)
        self._company = company
        self._desk = Desk(company.settings.topic(REQUESTS), shared.producer("rights-desk"))
        self.cases: dict[str, str] = {}
        self.acts: dict[str, Sequence[Act]] = {}

    def ask(self) -> None:
        """Have one of each fill in a form; then they ask, and are seen at the desk."""
        emails = [self._company.fill_in(SERVICE)["email"] for _ in range(2)]
        cases = [self._company.submit(SERVICE, fields={"email": each}) for each in emails]
        until(lambda: self._are_kept(cases), "cases")
        self._ask(cases[0], ERASURE, {**FORGET, "email": emails[0]})
        self._ask(cases[1], ACCESS, {"right": "access", "email": emails[1]})

    def _ask(self, case_id: str, acts: Sequence[Act], body: Mapping[str, str]) -> None:
        status, answer = self._company.call("/v1/requests", body)
        assert status == 202, answer
        request_id = answer["request_id"]
        self._desk.say(request_id, "confirmed", "seen at desk 4", now())
        self.cases[request_id], self.acts[request_id] = case_id, acts

    def _are_kept(self, case_ids: Sequence[str]) -> bool:
        mine = select(tables.cases.c.case_id).where(tables.cases.c.case_id.in_(case_ids))
        with self._company.ledger.reading() as connection:
            return {*connection.scalars(mine)} == {*case_ids}

    def of(self, acts: Sequence[Act]) -> list[str]:
        """Return the cases of those whose requests take these steps."""
        return [case_id for name, case_id in self.cases.items() if self.acts[name] == acts]


@pytest.mark.parametrize("loop", POINTS)
def test_s17_a_kill_at_any_step_of_a_request_costs_nothing(
    staffed: Company, kill: Kill, chaos_report: Callable[[str, int, int], None], loop: str
) -> None:
    people = People(staffed)
    staffed.work("others", *LOOPS - {loop})
    for _ in range(TIMES):
        for point in POINTS[loop]:
            people.ask()
            let_time_pass(staffed)
            assert kill(loop, point) == -9, point
    let_time_pass(staffed)
    staffed.work("at-last", loop)
    until(
        lambda: let_time_pass(staffed) or all(answered(staffed, people).values()),
        lambda: f"all answers: {answered(staffed, people)}",
    )

    with staffed.ledger.reading() as connection:
        for name, acts in people.acts.items():
            steps = requests.steps(connection, name)
            assert [each.act for each in steps] == acts
            assert all(each.done_at is not None for each in steps)
        assert not deletion.traces(connection, people.of(ERASURE))
    letters = defaultdict(set)
    for each in staffed.messages("letters", "letter"):
        letters[each.record["request_id"], each.record["kind"]].add(each.record["letter_id"])
    assert all(len(letters[name, "answer"]) == 1 for name in people.acts)
    assert all(len(ids) == 1 for ids in letters.values())
    there = staffed.sees(DEPARTMENT)
    assert not there.keys() & {*people.of(ERASURE)}
    assert {there[each].state for each in people.of(ACCESS)} == {"open"}
    asked = {each.record["case_id"] for each in staffed.messages("deletions", "deletion")}
    assert not asked & {*people.of(ACCESS)}
    keys_go(staffed, people)
    chaos_report("killed at a step of a request", TIMES * len(POINTS[loop]), len(people.acts))


def let_time_pass(company: Company) -> None:
    """Have leases of those who died be over, and letters be read long ago."""
    row, long_ago = tables.requests.c, now() - 100 * HOUR_MS
    going = row.state.in_([State.CONFIRMED, State.PLANNED])
    with company.ledger.transaction() as connection:
        connection.execute(update(tables.requests).where(going).values(due_at=None))
        over = row.state == State.ANSWERED
        connection.execute(update(tables.requests).where(over).values(answered_at=long_ago))


def answered(company: Company, people: People) -> Mapping[str, bool]:
    with company.ledger.reading() as connection:
        found = {name: requests.get(connection, name) for name in people.acts}
    over = State.ANSWERED, State.CLOSED
    return {name: each is not None and each.state in over for name, each in found.items()}


def keys_go(company: Company, people: People) -> None:
    """Wait until nobody can read any more what was asked."""

    def gone() -> bool:
        let_time_pass(company)
        with company.ledger.reading() as connection:
            return not keys.owners_of(connection, list(people.acts))

    until(gone, "the keys of requests to be shredded")
