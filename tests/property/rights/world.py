"""The real parts that rights meet, over a ledger in SQLite and a broker and facts in memory.

Whoever is outside is played: people and operators, one holder, and what counts visits.
"""

import hashlib
import random
import shutil
import threading
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, create_engine, event, select

from privacy.durations import DAY_MS
from privacy.policy import RIGHTS
from privacy.pseudonym import Salt
from privacy.rights.plan import Act
from privacy.rights.request import Asked, Right
from privacy.subjects import subject_id
from schemas.codec import decode, encode
from sinks.clickhouse.visitors import hashes
from sinks.clickhouse.visitors_memory import Fact, MemoryFacts
from sinks.keys.demands import seal_held
from sinks.keys.keks import Keks
from sinks.keys.seal import seal
from sinks.keys.vault import Vault
from sinks.ledger import ledger, tables
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer
from streams.alerts import Alerts
from streams.cases.closures import Closures
from streams.cases.lane import CasesLane, Topics
from streams.cases.transitions import Transitions
from streams.deletion.announce import Announcement
from streams.deletion.certify import Certifier
from streams.deletion.receipts import ReceiptsLane
from streams.deletion.shred import Shredder
from streams.keys.tokens import of_holder
from streams.lanes.consent import ConsentLane
from streams.rights import claims
from streams.rights.answers import AnswerActs
from streams.rights.cases import CaseActs
from streams.rights.closing import Closing
from streams.rights.copying import Copier, VisitsInFacts
from streams.rights.correct import CorrectionActs
from streams.rights.demands import DemandActs
from streams.rights.engine import LEASE_MS, Engine
from streams.rights.facts import SETTLE_MS, FactsLoop
from streams.rights.gather import Gatherer
from streams.rights.holds import HoldActs
from streams.rights.lane import RequestsLane
from streams.rights.letters import Letters
from streams.rights.visitors import VisitorActs
from streams.subject_requests import asked_record, said_record
from tests.property.rights.broker import Broker, Consumer, Crash, Points, Producer, with_crashes
from tests.property.rights.policy import POLICY, SITE

START = 1_795_000_000_000
LINKS = {"1": bytes(32)}
SUBJECT_KEY = bytes(32)
HOLDER = "crm"
SOON_MS = 5_000
UPKEEP_MS = 10_000
TURNS = 600  # of a drain; more is a loop that does not end


class Store:
    """A ledger whose file is made anew for each run; what SQLAlchemy has compiled stays."""

    def __init__(self, folder: Path) -> None:
        self._template, self._file = folder / "template.db", folder / "ledger.db"
        Ledger.open(f"sqlite:///{self._template}").close()
        engine = create_engine(f"sqlite:///{self._file}", hide_parameters=True)
        self.ledger = Ledger(engine)
        # No power fails here, so that nothing has to wait for the disk.
        event.remove(engine, "begin", ledger._begin)
        event.listen(engine, "begin", _begin)
        event.listen(engine, "connect", _set_up)
        self.keks = Keks.under(folder)
        self.keks.make_missing([*POLICY.departments, of_holder(HOLDER), RIGHTS])
        # Read once: a file system is no part of what is tried here.
        kept = {
            each: self.keks.of(each) for each in (*POLICY.departments, of_holder(HOLDER), RIGHTS)
        }
        self.keks.of = kept.__getitem__  # type: ignore[method-assign]
        self.transaction = self.ledger.transaction

    def renew(self) -> None:
        """Begin with an empty ledger."""
        self.ledger.close()
        for each in self._file.parent.glob("ledger.db*"):
            each.unlink()
        shutil.copy(self._template, self._file)
        self.ledger.transaction = self.transaction  # type: ignore[method-assign]


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


class DailySalts:
    """Salts of today and yesterday, as the store keeps them."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock

    def kept(self) -> list[tuple[int, Salt]]:
        today = self._clock() // DAY_MS
        return [
            (day, Salt(hashlib.blake2b(b"%d" % day, digest_size=16).digest()))
            for day in (today - 1, today)
        ]


class World:
    """Everything, at ``now``. ``drain`` has all parts work until none has anything to do."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        store.renew()
        self.now, self.rng = START, rng
        self.points = Points()
        self.broker = Broker(self.points, self.clock)
        self.ledger, self.vault = store.ledger, Vault(store.keks)
        self.transaction = store.transaction  # by which no crash comes
        with_crashes(self.ledger, self.points)
        self.memory, self.salts = MemoryFacts(), DailySalts(self.clock)
        self.signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
        self.transitions = Transitions(POLICY, str, lambda: LINKS)
        self.holder_answers = True
        self._holder_at: dict[str, int] = {}
        self._life: Life = Life(self)
        self.looked_at = 0

    def clock(self) -> int:
        return self.now

    def crash_after(self, points: int) -> None:
        """Have the worker end at one of the next places where it may."""
        self.points.left = points

    def drain(self) -> None:
        """Have all parts work until they wait for others, or for more time than a few seconds."""
        until = self.now + SOON_MS
        self.points.transactions += 1  # somebody else's may have been before
        for _ in range(TURNS):
            try:
                if self._life.turn() or self._holder():
                    continue
                due_at = self._due()
                if due_at is not None and due_at <= until:
                    self.now = max(self.now + 500, due_at)
                elif not self._life.look_after():
                    self.points.left = None
                    return
            except Crash:
                self._life = Life(self)
                until = self.now + LEASE_MS + SOON_MS
        raise AssertionError("it does not come to rest")

    def _due(self) -> int | None:
        """Return when something is to be looked at again."""
        table, facts = tables.requests, tables.visitor_facts
        open_ = table.c.state.in_(("confirmed", "planned"))
        with self.ledger.reading() as connection:
            due = list(connection.scalars(select(table.c.due_at).where(open_)))
            if connection.execute(select(facts.c.number).where(facts.c.done_at.is_(None))).first():
                due.append(self.now + SETTLE_MS)
        return min((each or self.now for each in due), default=None)

    # People and operators

    def submit(
        self, case_id: str, service: str, email: str, received_at: int, **more: Any
    ) -> bytes:
        """Let a form in as the collector does, and return what is to lie on the topic."""
        with self.transaction() as connection:
            key = self.vault.make(connection, case_id, ["care"], self.now)
        personal = {"email": email, "name": "A"}
        form = {
            "case_id": case_id,
            "service": service,
            "site": SITE,
            "group": None,
            "subject": subject_id(SUBJECT_KEY, email),
            "language": "nl",
            "received_at": received_at,
            "key_version": 1,
            "sealed": seal(key, personal, site=SITE, case_id=case_id),
            "settings": {},
            "further": None,
        }
        return encode("form_submission", form | more)

    def report(
        self, event_id: str, service: str, event_: str, case: str | None, group: str | None
    ) -> None:
        content = {
            "event_id": event_id,
            "service": service,
            "event": event_,
            "case_id": case,
            "group": group,
            "at": self.now,
            "by": "back office",
            "details": {},
        }
        key = (case or group or "").encode()
        self.broker.put("service-events", key, encode("service_event", content))

    def choose(self, change_id: str, cookie: str, purpose: str, decision: str) -> None:
        record = {
            "change_id": change_id, "site": SITE, "cookie_id": cookie, "purpose": purpose,
            "decision": decision, "notice_id": "n", "notice_version": "1", "language": None,
            "how": "banner", "occurred_at": self.now, "received_at": self.now,
        }  # fmt: skip
        self.broker.put(
            "consent-changes", f"{SITE}|{cookie}".encode(), encode("consent_change", record)
        )

    def ask(self, name: str, asked: Asked, by: str) -> None:
        with self.transaction() as connection:
            key = self.vault.make(connection, name, ["care"], self.now)
        subject = None if asked.email is None else subject_id(SUBJECT_KEY, asked.email)
        value = asked_record(
            asked, key, request_id=name, site=SITE, subject=subject, at=self.now, by=by
        )
        self.broker.put("subject-requests", name.encode(), value)

    def say(self, name: str, kind: str, by: str, **details: str) -> None:
        value = said_record(name, kind, by, self.now, details)
        self.broker.put("subject-requests", name.encode(), value)

    def claim(self, case_id: str) -> None:
        with self.transaction() as connection:
            claims.place(connection, case_id, "file 4", self.now)

    def release(self, case_id: str) -> None:
        with self.transaction() as connection:
            claims.lift(
                connection, case_id, policy=POLICY, transitions=self.transitions, at=self.now
            )

    def visit(self, event_id: str, cookie: str) -> None:
        """Have an event of a visitor counted."""
        today = date(1970, 1, 1) + timedelta(self.now // DAY_MS)
        names = hashes(SITE, cookie, self.salts.kept()[1:])
        self.memory.counted.add(Fact(event_id, next(each for each in names if each.day == today)))

    def replay(self, topic: str) -> None:
        """Forget everywhere how far a topic was read, so that it is read from its beginning."""
        with self.transaction() as connection:
            table = tables.positions
            connection.execute(table.delete().where(table.c.topic == topic))
        self.broker.committed[topic] = 0
        self._life = Life(self)

    # The holder outside

    def _holder(self) -> bool:
        """Answer what the holder was asked and has not answered, if it answers."""
        asked = [
            each
            for topic in ("deletions", "corrections", "holds", "exports")
            for each in self._news(topic)
        ]
        for topic, record in asked:
            self._answer(topic, record)
        return bool(asked)

    def _news(self, topic: str) -> list[tuple[str, Mapping[str, Any]]]:
        if not self.holder_answers:
            return []
        start, log = self._holder_at.get(topic, 0), self.broker.logs[topic]
        self._holder_at[topic] = len(log)
        return [
            (topic, decode(topic.removesuffix("s"), each.value_ or b"")) for each in log[start:]
        ]

    def _answer(self, topic: str, record: Mapping[str, Any]) -> None:
        if HOLDER not in record["holders"]:
            return
        asked_id = record["deletion_id" if topic == "deletions" else "demand_id"]
        receipt: dict[str, Any] = {
            "receipt_id": f"{asked_id}-{HOLDER}", "deletion_id": asked_id,
            "case_id": record["case_id"], "holder": HOLDER, "outcome": "done", "at": self.now,
            "content": None,
        }  # fmt: skip
        if topic == "exports":
            with self.ledger.reading() as connection:
                key = self.vault.open(connection, [asked_id], of_holder(HOLDER)).get(asked_id)
            if key is None:
                return
            receipt["content"] = seal_held(key, asked_id, {"note": "kept"})
        if self.rng.random() < 0.2:  # some fail first
            failed = encode("deletion_receipt", receipt | {"outcome": "failed", "content": None})
            self.broker.put(f"deletion-receipts-{HOLDER}", b"", failed)
        self.broker.put(f"deletion-receipts-{HOLDER}", b"", encode("deletion_receipt", receipt))


class Life:
    """One life of the worker: what it has in hand ends with it."""

    def __init__(self, world: World) -> None:
        self._world, self._first = world, True
        broker, ledger, clock = world.broker, world.ledger, world.clock
        certifier = Certifier(
            ledger, world.signer, controller="Example Trading", policy="test", clock=clock
        )
        self._stop = threading.Event()
        self._idle: dict[Callable[[], bool], tuple[int, int]] = {}
        letters = Letters(POLICY, "letters", lambda: LINKS)

        def ends() -> dict[str, Any]:
            return {"consumer": self._consumer(), "producer": Producer(broker)}

        self._consumers: list[Consumer] = []
        common = {"dead_letters": "dead-letters", "clock": clock}
        self._lanes = [
            CasesLane(
                Topics("form-submissions", "service-events", "dead-letters"),
                POLICY, world.transitions, ledger, clock=clock, **ends(),
            ),
            RequestsLane(
                "subject-requests", POLICY, ledger,
                vault=world.vault, letters=letters, **common, **ends(),
            ),
            ConsentLane(
                "consent-changes", "consent-state", ledger,
                purposes=list(POLICY.purposes), ads=["ads"], **ends(),
            ),
            ReceiptsLane(
                {f"deletion-receipts-{HOLDER}": HOLDER}, "dead-letters", ledger, certifier,
                clock=clock, **ends(),
            ),
        ]  # fmt: skip
        self._closures = Closures(POLICY, world.transitions, ledger, Producer(broker), clock)
        self._shredder = Shredder(
            ledger, Producer(broker), Announcement(POLICY, str), certifier, clock
        )
        visits = VisitsInFacts(lambda: world.memory, world.salts)  # type: ignore[arg-type]
        doers = [
            CaseActs(POLICY, world.transitions),
            CorrectionActs(POLICY, world.vault, world.transitions, SUBJECT_KEY),
            DemandActs(POLICY, world.vault, str),
            HoldActs(POLICY, world.transitions),
            VisitorActs(POLICY, str),
            AnswerActs(
                POLICY, ledger, Copier(POLICY, world.vault, visits, None), lambda: world.signer
            ),
            letters,
        ]
        producer = Producer(broker)
        self._engine = Engine(
            POLICY, ledger,
            vault=world.vault, gatherer=Gatherer(POLICY, None),
            handlers={act: does for each in doers for act, does in each.handlers().items()},
            outside={act: does for each in doers for act, does in each.outside().items()},
            producer=producer, alerts=Alerts("pipeline-alerts", producer), clock=clock,
        )  # fmt: skip
        self._facts = FactsLoop(ledger, world.memory, world.salts, clock)  # type: ignore[arg-type]
        self._closing = Closing(POLICY, ledger, clock)
        self._parts = (
            self._close_cases, self._engine.turn, self._shredder.turn, self._facts.turn,
        )  # fmt: skip

    def _consumer(self) -> Consumer:
        self._consumers.append(Consumer(self._world.broker, self._stop.set))
        return self._consumers[-1]

    def turn(self) -> bool:
        """Have the parts work, in any order, and tell whether any had something to do."""
        first, self._first = self._first, False
        parts: list[Callable[[], bool]] = [
            *(partial(self._read, lane, at) for at, lane in enumerate(self._lanes)),
            *(partial(self._changed, each) for each in self._parts),
        ]
        self._world.rng.shuffle(parts)
        busy = [part() for part in parts]
        return any(busy) or first

    def look_after(self) -> bool:
        """Have requests that are over looked for; tell whether the engine has to go on."""
        world = self._world
        if world.now - world.looked_at < UPKEEP_MS:
            return False
        self._closing.look()
        world.looked_at = world.now
        return True

    def _read(self, lane: Any, at: int) -> bool:
        if not self._consumers[at].is_behind:
            return False
        self._stop.clear()
        lane.run(self._stop)
        return True

    def _changed(self, part: Callable[[], bool]) -> bool:
        """Run a part, unless all is as it was when it had nothing to do."""
        world = self._world
        if self._idle.get(part) == (world.points.transactions, world.now):
            return False
        if part():
            return True
        self._idle[part] = world.points.transactions, world.now
        return False

    def _close_cases(self) -> bool:
        busy = self._closures.batch()
        self._closures.publish()
        return busy


Reasons = frozenset(
    {Act.AWAIT_DEMANDS, Act.AWAIT_DELETIONS, Act.AWAIT_REMOVALS, Act.FORGET_VISITOR}
)
"""What an open request may wait for: others outside, or time."""


def asked(
    right: Right,
    email: str | None,
    cookie: str | None,
    *,
    token: str,
    ground: Any = None,
    **more: Any,
) -> Asked:
    """Return a request in the words of the collector."""
    given: dict[str, Any] = {
        "right": right, "ground": ground, "email": email, "site": SITE if cookie else None,
        "cookie_id": cookie, "language": "nl", "service": None, "purposes": (), "corrections": {},
        "statement": None, "transfer_to": None, "answer": token,
    }  # fmt: skip
    return Asked(**given | more)
