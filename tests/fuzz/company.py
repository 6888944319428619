"""Bad input for a company that runs: each refused with its reason, and nothing good lost by it.

    HTTP bodies, good ones in between ──> collector ──┐
    messages that are spoiled ────────────────────────┴─> every topic that the pipeline reads

Then all is read, no process was restarted, what was good arrived, every bad body has its status and
is counted with its reason, and every bad message is a dead letter with its own.
"""

import http.client
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import UUID

from confluent_kafka import Producer
from sqlalchemy import select

from lethe.local.engines import Engines
from lethe.standins.server import StandIns
from schemas.codec import WireError, decode
from schemas.registry import latest
from sinks.geo.store import sample_table
from sinks.ledger import tables
from streams.collector.refusal import ANSWERS, Why
from streams.settings import Collector, Geo, Lanes, load
from streams.shared import now
from tests.chaos.stack import Ground, Stack, wait
from tests.fuzz.inputs import Inputs
from tests.fuzz.parsers import CHANGE, EVENT, good
from tests.integration.company import SITE, SITE_KEY

HEALTHY_SECONDS = 120.0
SENDERS = 2
EACH_GOOD = 20  # of so many bad inputs, one good

# What the pipeline reads, and what it should hold. The topics that it writes alone, and that only
# readers outside or the barrier of consents read, are not here: there access control is the guard.
TOPICS: Mapping[str, str] = {
    "tracking-events": "tracking_event",
    "tracking-events-raw": "tracking_event",
    "tracking-anonymised": "anonymised_event",
    "consent-changes": "consent_change",
    "form-submissions": "form_submission",
    "service-events": "service_event",
    "subject-requests": "subject_request",
    "deletion-receipts-crm": "deletion_receipt",
    "ads-ga4": "ad_event",
    "ads-google-ads": "ad_event",
    "ads-linkedin": "ad_event",
    "ads-meta": "ad_event",
    "ads-x": "ad_event",
    "access-log": "access",
    "dead-letters": "dead_letter",
}
# There, what cannot be read, or is of another visitor than it says, is a no to everything of who it
# is filed under, and no dead letter.
DENIED = "consent-changes"

ROUTES: Mapping[str, Any] = {
    "/v1/events": EVENT,
    "/v1/consent": {**CHANGE, "purpose": "ads"},
    "/v1/forms/sample-request": {
        "fields": {
            "name": "Mel",
            "email": "mel@example.com",
            "address": "1 Road",
            "sample": "small",
        },
        "idempotency_key": "0123456789abcdef0123456789abcdef",
    },
    "/v1/forms/newsletter": {"fields": {"email": "mel@example.com"}},
    "/v1/requests": {"right": "access", "email": "mel@example.com"},
}


@dataclass
class Sent:
    """What was sent, and what is owed for it."""

    bad: dict[str, str] = field(default_factory=dict)  # place: the reason of its dead letter
    odd: set[str] = field(default_factory=set)  # places of what can be read and means nothing
    denied: set[str] = field(default_factory=set)  # visitors who said no to everything by that
    events: set[str] = field(default_factory=set)  # acknowledged ids
    cases: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)  # statuses of bodies, by the answer
    broken: list[str] = field(default_factory=list)  # answers that must not be
    inputs: int = 0


@contextmanager
def engines(folder: Path) -> Iterator[Ground]:
    """Run Apache Kafka and ClickHouse with their data below ``folder``."""
    sample_table(folder / "geo")
    given = load(engines=False, data_dir=folder, geo=Geo(cache=folder / "geo"))
    with Engines(given, "kafka", usual_ports=False) as run:
        yield Ground(run.settings, run.supervisor, ())


@contextmanager
def running(ground: Ground, folder: Path, standins: StandIns) -> Iterator[Stack]:
    """Run collector, key server and a worker with all its parts, on engines that run."""
    stack = Stack(ground, folder, standins)
    company = stack.company
    company.settings = company.settings.model_copy(
        update={
            "collector": Collector(port=company.settings.collector.port, rate=1e6, burst=10**7),
            # Rubbish is most of what there is: the brake would hold, as it should.
            "lanes": Lanes(reject_ratio=1.0),
        }
    )
    stack.settings = company.settings
    company.environment = company.settings.environment() | {"COLUMNS": "200"}
    try:
        company.collect()
        company.serve_keys()
        company.supervisor.run(company.process("worker", "worker"))
        wait(stack._is_ready, "the collector to be ready", HEALTHY_SECONDS)
        yield stack
    finally:
        stack.company.stop()


class Fuzz:
    """Sends to one company."""

    def __init__(self, stack: Stack, seed: object, known: set[str]) -> None:
        """Take the places of what others sent before; what is sent now is added to them."""
        self._stack = stack
        self._known = known
        self._seed = seed
        self.sent = Sent()
        self._before = self._outcomes()
        self._producer = Producer(
            {"bootstrap.servers": stack.settings.kafka.bootstrap, "linger.ms": 5, "log_level": 2}
        )

    def bodies(self, count: int, part: object) -> None:
        """Send ``count`` bodies that are bad, or odd, and good ones in between."""
        shares = [count // SENDERS + (each < count % SENDERS) for each in range(SENDERS)]
        with ThreadPoolExecutor(SENDERS) as pool:
            jobs = [
                pool.submit(self._send, share, f"{self._seed}|{part}|http|{number}")
                for number, share in enumerate(shares)
            ]
            for each in jobs:
                each.result()

    def messages(self, count: int, part: object) -> None:
        """Put ``count`` messages that are bad, or odd, on topics, and wait until all lie there."""
        inputs, failed = Inputs(f"{self._seed}|{part}|topics"), []
        for number in range(count):
            topic = inputs.chance.choice(list(TOPICS))
            value, reason = self._message(topic, inputs)
            visitor = f"fuzz-{self._seed}-{part}-{number}"

            def stored(
                error: Any, message: Any, topic: str = topic, reason: str | None = reason,
                visitor: str = visitor,
            ) -> None:  # fmt: skip
                if error is not None:
                    failed.append(str(error))
                    return
                place = f"{message.topic()}:{message.partition()}:{message.offset()}"
                if topic == DENIED:
                    self.sent.denied.add(visitor)
                elif reason is None:
                    self.sent.odd.add(place)
                else:
                    self.sent.bad[place] = reason

            key = f"{SITE}|{visitor}".encode()
            self._producer.produce(
                self._stack.settings.topic(topic), value, key, on_delivery=stored
            )
            self._producer.poll(0)
        self._producer.flush(60)
        assert not failed, failed[0]
        self._known |= self.sent.bad.keys() | self.sent.odd
        self.sent.inputs += count

    def check(self) -> Mapping[str, list[str]]:
        """Wait until all is read, and return what is not as it must be."""
        stack, sent = self._stack, self.sent
        wait(
            lambda: not stack.behind(), lambda: f"all to be read: {stack.behind()}", HEALTHY_SECONDS
        )
        with stack.house() as house:
            facts = {_text(name): many for name, many in house.query(
                "SELECT event_id, count() FROM facts FINAL GROUP BY event_id")}  # fmt: skip
            rejects = dict(
                wait(lambda: self._rejects(house), "dead letters to be counted", HEALTHY_SECONDS)
            )
        purposes = stack.company.policy.purposes.keys()
        with stack.ledger.reading() as connection:
            cases = set(connection.scalars(select(tables.cases.c.case_id)))
            no = {
                row.visitor
                for row in connection.execute(select(tables.consents))
                if purposes <= row.standings.keys()
                and {row.standings[each]["decision"] for each in purposes} == {"withdrawn"}
            }
        letters = {place: rejects.get(place) for place in sent.bad}
        return {
            "restarted": self._restarted(),
            "answers": [*sent.broken, *self._miscounted()],
            "lost": [
                *(f"event {each}" for each in sent.events - facts.keys()),
                *(f"case {each}" for each in sent.cases - cases),
                *(f"dead letter {each}" for each, reason in letters.items() if reason is None),
                *(f"denial {each}" for each in sent.denied - no),
            ],
            "doubled": [f"event {each}" for each in sent.events if facts.get(each, 1) > 1],
            "wrong reason": [
                f"{place}: {reason} for {sent.bad[place]}"
                for place, reason in letters.items()
                if reason not in {None, sent.bad[place]}
            ],
            "of what is good": [
                f"{place}: {reason}"
                for place, reason in rejects.items()
                if place not in self._known and place.startswith(stack.settings.kafka.prefix)
            ],
            "without consent": [f"{call.provider}" for call, _ in list(stack.desk.calls)],
        }

    def _restarted(self) -> list[str]:
        processes = map(self._stack.supervisor.find, ("collector", "keys", "worker"))
        return [each.name for each in processes if each.restarts or not each.alive()]

    def _rejects(self, house: Any) -> Mapping[str, str] | None:
        """Return all rejects, when those are there that must be."""
        found = dict(house.query("SELECT id, reason FROM rejects FINAL"))
        return found if self.sent.bad.keys() <= found.keys() else None

    def _send(self, count: int, seed: str) -> None:
        inputs = Inputs(seed)
        port = self._stack.settings.collector.port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for number in range(count):
            route = inputs.chance.choice(list(ROUTES))
            example = self._example(route, inputs)
            is_good = number % EACH_GOOD == 0
            body = json.dumps(example).encode() if is_good else self._body(example, inputs)
            status, answer = self._post(connection, route, body)
            self.sent.answers[status] += 1
            self._note(route, status, answer, is_good=is_good, body=body)
        connection.close()
        self.sent.inputs += count

    def _note(
        self, route: str, status: int, answer: Mapping[str, Any], *, is_good: bool, body: bytes
    ) -> None:
        if (is_good and status != 202) or status not in {202, 400, 413, 422}:
            self.sent.broken.append(f"{route} answered {status} to {body[:200]!r}: {answer}")
        if status == 202 and route == "/v1/events":
            self.sent.events |= set(answer["event_ids"])
        if status == 202 and "case_id" in answer:
            self.sent.cases.add(answer["case_id"])

    @staticmethod
    def _example(route: str, inputs: Inputs) -> Mapping[str, Any]:
        """Return a good body that nobody sent before."""
        made = dict(ROUTES[route])
        new = str(UUID(int=inputs.chance.getrandbits(128), version=4))
        if route == "/v1/events":
            made |= {"event_id": new, "occurred_at": now(), "cookie_id": f"good-{new}"}
            del made["consent_epoch"], made["ad_ids"]  # nobody agreed to ads
        elif route == "/v1/consent":
            made |= {"change_id": new, "cookie_id": f"good-{new}", "occurred_at": now()}
            made["decision"] = "refused"
        elif route == "/v1/requests":
            made["email"] = f"{new}@example.com"
        else:
            made["idempotency_key"] = new
        return made

    @staticmethod
    def _body(example: Mapping[str, Any], inputs: Inputs) -> bytes:
        roll = inputs.chance.random()
        if roll < 0.002:
            return b"[" + b" " * 10_000_000 + b"]"
        if roll < 0.5:
            return inputs.json(example)
        return inputs.spoiled(json.dumps(example).encode()) if roll < 0.8 else inputs.junk()

    @staticmethod
    def _post(
        connection: http.client.HTTPConnection, route: str, body: bytes
    ) -> tuple[int, Mapping[str, Any]]:
        headers = {"X-Lethe-Key": SITE_KEY, "Content-Type": "application/json"}
        for last in (False, True):
            try:
                connection.request("POST", route, body, headers)
                response = connection.getresponse()
                return response.status, json.loads(response.read())
            except (OSError, http.client.HTTPException):
                connection.close()  # hung up meanwhile, or in the middle of a giant body
                if last or len(body) > 1_000_000:
                    break
        return (413, {}) if len(body) > 1_000_000 else (0, {})

    def _message(self, topic: str, inputs: Inputs) -> tuple[bytes | None, str | None]:
        """Return what to put on a topic, and why it cannot be read; None: it can."""
        record = TOPICS[topic]
        roll = inputs.chance.random()
        value = inputs.wire(record, good(record)) if roll < 0.8 else self._odd(topic, inputs)
        if roll < 0.02:
            return None, "no_value"
        try:
            decode(record, value)
        except WireError as error:
            return value, error.fault.value
        return value, None

    def _odd(self, topic: str, inputs: Inputs) -> bytes:
        """Return what goes deeper than a reader's first look."""
        new = str(UUID(int=inputs.chance.getrandbits(128), version=4))
        given: Mapping[str, Mapping[str, Any]] = {
            "tracking_event": {
                "site": SITE,
                "event_id": new,
                "occurred_at": now(),
                "consent_epoch": None,
                "ad_ids": None,
            },
            "anonymised_event": {"site": SITE, "event_id": new},
            "form_submission": {"service": "sample-request", "site": SITE},
            "service_event": {"service": "sample-request"},
            "deletion_receipt": {"holder": "crm"},
            "access": {"site": SITE},
            "consent_change": {"site": SITE, "cookie_id": new, "decision": "refused"},
        }
        record = TOPICS[topic]
        return inputs.framed(latest(record), dict(given.get(record, {})))

    def _outcomes(self) -> Counter[str]:
        """Return how many requests the collector counted, by what became of them."""
        url = f"http://127.0.0.1:{self._stack.settings.collector.port}/metrics"
        with urlopen(url, timeout=30) as answer:
            text = answer.read().decode()
        found: Counter[str] = Counter()
        pattern = r'^lethe_collector_requests_total\{outcome="(\w+)",site="[^"]*"\} (\S+)$'
        for outcome, many in re.findall(pattern, text, re.MULTILINE):
            found[outcome] += int(float(many))
        return found

    def _miscounted(self) -> list[str]:
        """Compare the statuses that were answered with the reasons that were counted."""
        counted: Counter[int] = Counter()
        for outcome, many in (self._outcomes() - self._before).items():
            counted[ANSWERS[Why(outcome)].status if outcome in set(Why) else 202] += many
        answered = Counter({each: many for each, many in self.sent.answers.items() if each})
        return [
            f"{answered[each]} answers {each}, counted {counted[each]}"
            for each in sorted(answered | counted)
            if answered[each] != counted[each]
        ]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
