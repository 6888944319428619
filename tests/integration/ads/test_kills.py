"""SIGKILL at each step of a consent and of a delivery, in the worker's own loops (S14, S15).

An event takes effect once at most at a provider, nothing is told of who had withdrawn, what was
sent of them is removed where that can be, and no delivery stays open. For Apache Kafka alone:
groups of the embedded broker may wait for ever for a member that was killed.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import func, select

from lethe.standins.account import SITE
from lethe.standins.desk import Desk
from privacy.consent import Decision
from schemas.codec import decode
from sinks.ledger import consents, reached, withdrawals
from sinks.ledger.deliveries import OPEN, State
from sinks.ledger.ledger import Ledger
from sinks.ledger.tables import consent_changes, deliveries
from streams.settings import Settings
from tests.chaos.report import TIMES
from tests.integration.ads.test_withdrawals import UUIDS, behind, names_of
from tests.integration.killing import Kill, Point, killing

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.chaos]

PARTS = {"consent", "route", "deliver", "settle"}
EACH = 3  # visitors before each kill who stay, and as many who withdraw after it
PROVIDERS = ("ga4", "meta", "linkedin", "x", "google-ads")
CANNOT_TELL = {"ga4", "linkedin", "x"}  # an event that is sent twice

CLAIMED = Point("streams.delivery.ledger_book:LedgerBook.claim")  # and no byte was sent
TAKEN = Point("streams.delivery.http:_read", "before")  # the provider has it, and we do not know
NOTED = Point("streams.delivery.dispatch:Dispatcher._tell", "before")  # and not committed

# By the parts that do not run meanwhile: which loops are killed where, one after the other.
STEPS = {
    ("consent", "settle"): [
        ("consent", Point("streams.lanes.consent:consents.record")),  # uncommitted
        ("consent", Point("sinks.kafka:BatchProducer.stored", "before")),  # and nobody told
        ("settle", Point("streams.delivery.settle:reached.fall_due")),  # uncommitted
        ("consent", Point("sinks.kafka:BatchProducer.stored")),  # told, and we do not know
        ("settle", Point("streams.ads:metrics.WITHDRAWAL_SECONDS.observe", "before")),  # effective
    ],
    ("route",): [
        ("route", Point("sinks.kafka:BatchProducer.stored", "before")),  # part may be published
        ("route", Point("sinks.kafka:BatchProducer.stored")),  # all is, and not committed
    ],
    ("deliver",): [
        ("deliver-linkedin", CLAIMED),
        ("deliver-linkedin", TAKEN),
        ("deliver-linkedin", NOTED),
        ("deliver-meta", CLAIMED),
        ("deliver-meta", TAKEN),
        ("deliver-ga4", CLAIMED),
        # From now on removals, which go before events.
        ("deliver-ga4", CLAIMED),
        ("deliver-ga4", TAKEN),
        ("deliver-ga4", NOTED),
    ],
}

Visits = dict[str, dict[str, Any]]
"""A visit each, by visitor."""


class Site:
    """Visitors who agree and come; some withdraw before the next ones come, and come once more."""

    def __init__(self, visitors: Any) -> None:
        self._visitors = visitors
        self.staying: Visits = {}  # their visit
        self.leaving: Visits = {}  # likewise; who is next to withdraw
        self.left: Visits = {}  # likewise; who has
        self.forbidden: set[str] = set()  # ids of visits under a consent that was over
        self.epochs: dict[str, int] = {}  # of the last that each chose
        self.changes = 0

    def more(self) -> None:
        self._leave()
        first = len(self.epochs)
        names = [f"v{first + each}" for each in range(2 * EACH)]
        self._choose(names, Decision.GIVEN)
        visits = {each: self._visit(each, self.epochs[each]) for each in names}
        self._visitors.send(*visits.values())
        self.staying |= {each: visits[each] for each in names[:EACH]}
        self.leaving = {each: visits[each] for each in names[EACH:]}

    def _leave(self) -> None:
        agreed = {each: self.epochs[each] for each in self.leaving}
        self._choose(list(agreed), Decision.WITHDRAWN)
        visits = [self._visit(each, epoch) for each, epoch in agreed.items()]
        self._visitors.send(*visits)
        self.forbidden |= {each["event_id"] for each in visits}
        self.left |= self.leaving

    def _choose(self, names: list[str], decision: Decision) -> None:
        self.epochs |= self._visitors.choose_all(names, decision)
        self.changes += len(names)

    def _visit(self, name: str, epoch: int) -> dict[str, Any]:
        visit: dict[str, Any] = self._visitors.event(name, epoch, "/thanks")
        return visit


@pytest.fixture
def kill(settings: Settings) -> Iterator[Kill]:
    with killing(settings) as ready:
        yield ready


@pytest.mark.parametrize("parts", STEPS, ids="-".join)
def test_a_kill_at_any_step_of_a_delivery_costs_nothing(
    visitors: Any, workers: Any, standins: Any, ledger: Ledger, settings: Settings, kill: Kill,
    until: Callable[..., None], read_topic: Callable[[str, str], list[Any]],
    chaos_report: Callable[[str, int, int], None], database: None, parts: tuple[str, ...],
) -> None:  # fmt: skip
    assert database is None
    others, desk = PARTS - {*parts}, standins.desk
    kills = STEPS[parts] * TIMES
    workers.start("others", *others)
    site = Site(visitors)
    site.more()
    for loop, point in kills:
        # Where it can be, so that there is something to remove.
        if {"route", "deliver"} <= others:
            until(lambda: taken(site.leaving, desk), "visits to be delivered")
        site.more()
        if {"consent", "settle"} <= others:
            until(lambda: settled(ledger, len(site.left)), "withdrawals to be effective")
        assert kill(loop, point) == -9, (loop, point)
    workers.start("at-last", *parts)
    until(lambda: not behind(settings), lambda: f"the lanes to read {behind(settings)}")
    until(lambda: settled(ledger, len(site.left)), "every withdrawal to be effective")
    until(lambda: not unfinished(ledger), lambda: f"{unfinished(ledger)} to be done")

    fates = those_of(ledger)
    consents_are_known(site, ledger, settings, read_topic)
    each_is_taken_once(site, desk, fates)
    nothing_is_told_of_who_left(site, desk)
    if "deliver" in parts:
        assert State.UNCERTAIN in fates.values(), "some were claimed by who died, and not sent"
    if "route" not in parts:
        assert desk.removed
    chaos_report("killed at a step of a delivery", len(kills), len(fates))


def consents_are_known(
    site: Site, ledger: Ledger, settings: Settings, read_topic: Callable[[str, str], list[Any]]
) -> None:
    """Assert that each change is in the ledger once, and that what was told last stands."""
    with ledger.reading() as connection:
        ids = Counter(connection.scalars(select(consent_changes.c.id)))
        known = {each: consents.standing(connection, SITE, each).epoch for each in site.epochs}
    assert (len(ids), ids.total()) == (site.changes, site.changes)
    assert known == site.epochs
    said = {}
    for each in read_topic(settings.kafka.bootstrap, settings.topic("consent-state")):
        state = decode("consent_state", each.value)
        said[state["cookie_id"]] = state["epoch"]
    assert said == site.epochs


def each_is_taken_once(site: Site, desk: Desk, fates: Mapping[tuple[str, str], State]) -> None:
    assert not {key: times for key, times in desk.taken.items() if times > 1}
    for visit in site.staying.values():
        name = str(visit["event_id"])
        for at in (dict.fromkeys(PROVIDERS, name) | names_of(name)).items():
            fate, times = fates[at], desk.taken[at]
            uncertain = fate == State.UNCERTAIN and at[0] in CANNOT_TELL
            assert uncertain or (fate, times) == (State.DELIVERED, 1), (*at, fate, times)


def nothing_is_told_of_who_left(site: Site, desk: Desk) -> None:
    forbidden = {n for each in site.forbidden for n in (each, *names_of(each).values())}
    told = {name for call, _ in desk.calls for name in UUIDS.findall(json.dumps(call.content))}
    assert not told & forbidden
    removed = {each.whom for provider, each in desk.removed if provider == "ga4"}
    known = {client(each) for each in site.left.values()}
    owed = {client(each) for each in site.left.values() if taken({"": each}, desk)}
    assert owed <= removed <= known


def taken(visits: Visits, desk: Desk) -> bool:
    return all(desk.taken["ga4", each["event_id"]] for each in visits.values())


def client(visit: Mapping[str, Any]) -> str:
    return str(visit["ad_ids"]["ga_client_id"])


def settled(ledger: Ledger, many: int) -> bool:
    """Tell whether so many withdrawals are effective, and all that are known."""
    known = select(func.count()).where(consent_changes.c.decision == Decision.WITHDRAWN)
    with ledger.reading() as connection:
        waiting = any(withdrawals.unsettled(connection, each) for each in range(4))
        return not waiting and connection.scalar(known) == many


def unfinished(ledger: Ledger) -> list[Any]:
    """Return deliveries that are open, and removals that are due."""
    states = [*OPEN, State.RELEASED]
    with ledger.reading() as connection:
        left = connection.execute(select(deliveries).where(deliveries.c.state.in_(states)))
        return [*left, *reached.waiting(connection)]


def those_of(ledger: Ledger) -> dict[tuple[str, str], State]:
    """Return what became of each event at each provider."""
    with ledger.reading() as connection:
        rows = connection.execute(select(deliveries))
        return {(row.provider, row.event_id): State(row.state) for row in rows}
