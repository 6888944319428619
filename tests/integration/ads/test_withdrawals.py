"""Thousands of withdrawals on live traffic, under kills, pauses, and providers that err.

What must be 0: requests that begin after a withdrawal is effective, events of a visitor without
consent at any stand-in, events taken twice where the provider cannot tell, events without a fate.
For Apache Kafka alone: groups of the embedded broker may wait for ever for a member that was killed
or stopped.
"""

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from sqlalchemy import select

from lethe.standins.desk import Answer, Desk
from privacy.consent import Decision, epoch_of
from sinks.kafka import consumer
from sinks.ledger import withdrawals
from sinks.ledger.deliveries import State
from sinks.ledger.ledger import Ledger
from sinks.ledger.tables import consent_changes, deliveries
from sinks.ledger.tables import withdrawals as withdrawn
from streams.delivery.http import ANSWER_SECONDS
from streams.lanes import route
from streams.settings import Settings
from tests.chaos.report import SEED, TIMES

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.chaos]

SLICES = 40 * min(TIMES, 10)  # more calls than that no stand-in remembers
SLICE = 260  # visitors
WORKERS = 2
KILLS = 6
PAUSES = 4
# For a stand-in to look at what has reached its socket. Whoever sent it gives up after so long, and
# hangs up: nothing that left in time is looked at later.
SLACK_MS = ANSWER_SECONDS * 1_000
TARGETS = {"linkedin": "10000001", "x": "ex4m0", "google-ads": "7000000001"}
UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Site:
    """Visitors in slices: given, two visits; withdrawn, a visit more; some given again."""

    def __init__(self, visitors: Any) -> None:
        self._visitors = visitors
        self.events: dict[str, tuple[str, int]] = {}  # id: visitor, epoch
        self.forbidden: dict[str, str] = {}  # sent when the consent they name was over
        self.owed: dict[str, str] = {}  # whose consent nobody takes back: path by id
        self._epochs: dict[str, int] = {}
        self._random = random.Random(SEED)

    def run(self) -> None:
        for number in range(SLICES + 4):
            self._give(number)
            self._withdraw(number - 2)
            self._give_again(number - 4)
            time.sleep(0.2)

    def _give(self, number: int) -> None:
        if number < SLICES:
            names = self._names(number)
            self._epochs |= self._visitors.choose_all(names, Decision.GIVEN)
            self._visit([(each, self._epochs[each]) for each in names] * 2)

    def _withdraw(self, number: int) -> None:
        if 0 <= number < SLICES:
            names = self._names(number)
            self._visitors.choose_all(names, Decision.WITHDRAWN)
            self.forbidden |= self._visit([(each, self._epochs[each]) for each in names])

    def _give_again(self, number: int) -> None:
        if 0 <= number < SLICES:
            names = self._names(number)[::5]
            again = self._visitors.choose_all(names, Decision.GIVEN)
            self.forbidden |= self._visit([(each, self._epochs[each]) for each in names])
            self.owed |= self._visit(list(again.items()))

    def _visit(self, visits: list[tuple[str, int]]) -> dict[str, str]:
        """Send a visit each; return the path by event id."""
        paths = {}
        made = []
        for visitor, epoch in visits:
            path = self._random.choice(["/tea", "/tea", "/thanks"])
            event = self._visitors.event(visitor, epoch, path)
            made.append(event)
            paths[event["event_id"]] = path
            names = [event["event_id"], *names_of(event["event_id"]).values()]
            self.events |= dict.fromkeys(names, (visitor, epoch))
        self._visitors.send(*made)
        return paths

    @staticmethod
    def _names(number: int) -> list[str]:
        return [f"v{number}-{each}" for each in range(SLICE)]


def names_of(event_id: str) -> dict[str, str]:
    """Return by provider what an event is called that is told of as a conversion."""
    return {name: route._id(event_id, target) for name, target in TARGETS.items()}


def trouble(workers: list[Any], desk: Desk, over: threading.Event) -> None:
    """Kill workers, stop them for longer than a lease, and have providers err, until ``over``."""
    random_ = random.Random(SEED)
    later = Answer(500, {"error": {"code": 2, "message": "later", "is_transient": True}})
    plan = ["kill"] * KILLS + ["pause"] * PAUSES
    random_.shuffle(plan)
    while not over.wait(random_.uniform(0.5, 1.5)):
        mood = desk.mood(random_.choice(["meta", "linkedin", "x", "google-ads"]))
        mood.latency = random_.choice([0.0, 0.05, 0.5])
        mood.answers.extend([later] * random_.randrange(3))
        mood.vanish = random_.randrange(3)
        if plan and random_.random() < 0.4:
            pid, kill = random_.choice(workers).pid, plan.pop() == "kill"
            with suppress(ProcessLookupError):  # the watchdog was faster, or it is just starting
                os.kill(pid, signal.SIGKILL if kill else signal.SIGSTOP)
                if not kill:
                    over.wait(3.0)
                    os.kill(pid, signal.SIGCONT)
    for each in desk.moods.values():
        each.latency, each.vanish = 0.0, 0
        each.answers.clear()


def behind(settings: Settings) -> dict[str, int]:
    """Return how many messages each group has not committed, where there are any."""
    left: dict[str, int] = {}
    groups = {"route": "tracking-events", "consent": "consent-changes"}
    groups |= {f"deliver-{each}": f"ads-{each}" for each in ("ga4", "meta", *TARGETS)}
    for group, topic in groups.items():
        kafka = settings.kafka
        client = consumer(kafka.bootstrap, kafka.prefix + group, {})
        places = [TopicPartition(settings.topic(topic), each) for each in range(4)]
        for place in client.committed(places, timeout=10):
            end = client.get_watermark_offsets(place, timeout=10)[1]
            if (count := end - max(place.offset, 0)) > 0:
                left[group] = left.get(group, 0) + count
        client.close()
    return left


def test_nothing_begins_after_a_withdrawal_is_effective(
    visitors: Any, workers: Any, standins: Any, ledger: Ledger, settings: Settings,
    until: Callable[..., None], chaos_report: Callable[[str, int, int], None], database: None,
) -> None:  # fmt: skip
    assert database is None
    parts = ("route", "deliver", "settle", "consent")
    running = [workers.start(f"worker-{each}", *parts) for each in range(WORKERS)]
    site, over = Site(visitors), threading.Event()
    troubling = threading.Thread(target=trouble, args=(running, standins.desk, over))
    probe = visitors.visit("probe", visitors.choose("probe", Decision.GIVEN))
    until(lambda: ("meta", probe) in standins.desk.taken, "the workers to be there")
    troubling.start()
    try:
        site.run()
    finally:
        over.set()
        troubling.join()

    def waiting() -> int:
        with ledger.reading() as connection:
            return sum(len(withdrawals.unsettled(connection, each)) for each in range(4))

    until(lambda: not behind(settings), lambda: f"the lanes to read {behind(settings)}", 180)
    until(lambda: not waiting(), "every withdrawal to be effective")
    with ledger.reading() as connection:
        rows = [r for r in connection.execute(select(deliveries)) if r.event_id in site.events]
        effective = connection.execute(
            select(consent_changes.c.visitor, withdrawn.c.offset, withdrawn.c.recorded_at,
                   withdrawn.c.effective_at).join(
                withdrawn,
                (consent_changes.c.partition == withdrawn.c.partition)
                & (consent_changes.c.offset == withdrawn.c.offset),
            )
        ).all()  # fmt: skip
    assert len(effective) == SLICES * SLICE
    ends = {row.visitor: row for row in effective}

    def end_of(event_id: str) -> float:
        """Return from when on nothing with this event may begin."""
        visitor, epoch = site.events[event_id]
        row = ends[visitor]
        return row.effective_at if epoch_of(row.offset) > epoch else float("inf")

    late = [r for r in rows if r.begun_at is not None and r.begun_at > end_of(r.event_id)]
    assert not late, f"{len(late)} began after their withdrawal was effective"
    forbidden = {n for each in site.forbidden for n in (each, *names_of(each).values())}
    for call, _ in standins.desk.calls:
        ids = set(UUIDS.findall(json.dumps(call.content))) & site.events.keys()
        assert not ids & forbidden, (call.provider, "an event without consent")
        assert all(call.began <= end_of(each) + SLACK_MS for each in ids), call.provider
    twice = {key: times for key, times in standins.desk.taken.items() if times > 1}
    assert not twice
    fates = {(row.provider, row.event_id): State(row.state) for row in rows}
    assert State.CLAIMED not in fates.values()
    for event_id, path in site.owed.items():
        assert fates["meta", event_id] == State.DELIVERED
        for provider, name in names_of(event_id).items() if path == "/thanks" else ():
            # A lost answer of one that cannot tell twice from once is not sent again.
            assert fates[provider, name] in {State.DELIVERED, State.ACCEPTED, State.UNCERTAIN}
    seconds = sorted((row.effective_at - row.recorded_at) / 1000 for row in effective)
    print(  # noqa: T201 - pytest -s shows what was measured
        f"{len(effective)} withdrawals, effective after {seconds[len(seconds) // 2]:.2f} s, "
        f"p99 {seconds[int(len(seconds) * 0.99)]:.2f} s, longest {seconds[-1]:.2f} s; "
        f"{len(standins.desk.calls)} calls, {len(rows)} deliveries"
    )
    chaos_report("killed and paused among withdrawals", KILLS + PAUSES, len(effective))
