"""A site in full swing: visits, choices, forms and their ends, and rubbish on topics.

Whatever is not acknowledged is sent again with the same ids until it is. On purpose, some visits
are sent twice, all within a thousand come in any order, and some are a day late.
"""

import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from confluent_kafka import Producer
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from lethe.standins.account import SITE, ad_ids
from privacy.consent import Decision
from privacy.durations import DAY_MS
from schemas.codec import encode
from sinks.kafka import SAFE
from sinks.ledger.ledger import LedgerError
from sinks.ledger.tables import case_keys
from streams.shared import now
from tests.chaos.acked import Acked, Item, Kind
from tests.chaos.search import ADDRESSES
from tests.chaos.stack import ChaosError, Stack
from tests.integration.company import SITE_KEY

PAGES = ("/tea", "/tea", "/coffee", "/cake", "/thanks", "/samples/small")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

BATCH = 25  # visits in a request
TWICE, LATE, SPENT = 0.10, 0.05, 0.3  # of visits: sent again; a day late; of who withdrew
WITHIN = 1_000  # visits among which any order is possible
RECENT = 400  # visitors who are about
POISONED = ("tracking-events", "tracking-anonymised", "form-submissions", "service-events")
RUBBISH = (b"junk", b"", b"\0\0\0", b"\0\xff\xff\xff\xffx", b"\0\0\0\0\x01", b"{}" * 500)

ANSWER_SECONDS = 10.0
GIVE_UP_SECONDS = 60.0  # to send again what is not acknowledged when traffic is to end
AGAIN = {0, 408, 429, 500, 502, 503, 504}  # 0: no answer at all


@dataclass(slots=True)
class Visitor:
    """Somebody with a cookie; ``epoch`` is the consent their pages name, perhaps a spent one."""

    name: str
    number: int
    epoch: int | None = None
    stays: bool = False  # never takes anything back


class Traffic:
    """Threads that send, from ``with`` to its end; a failure of theirs is raised there."""

    def __init__(self, stack: Stack, acked: Acked, seed: str, *, rate: float = 100.0) -> None:
        """Send ``rate`` visits a second, and less of the rest."""
        self.tried = self.acknowledged = 0
        self._stack = stack
        self._acked = acked
        self._seed = seed
        self._pause = 2 * BATCH / rate
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self._numbers = count(1)
        self._given: deque[Visitor] = deque(maxlen=RECENT)
        self._spent: deque[Visitor] = deque(maxlen=RECENT)
        self._producer = Producer(
            {
                "bootstrap.servers": stack.settings.kafka.bootstrap,
                **stack.settings.kafka.options,
                **SAFE,
                "linger.ms": 5,
                # Sent once, however long the broker is away: nothing here is sent twice by chance.
                "message.timeout.ms": 0,
                "log_level": 2,
            }
        )
        loops = self._visits, self._visits, self._choices, self._forms, self._rubbish
        self._threads = [
            threading.Thread(target=self._run, args=(loop, f"{seed}|{number}"), name=loop.__name__)
            for number, loop in enumerate(loops)
        ]

    def __enter__(self) -> Self:
        self._stack.traffic = self
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._over.set()
        for each in self._threads:
            each.join()
        self._stack.traffic = None
        if self._failures:
            raise self._failures[0]

    def _run(self, loop: Callable[[random.Random], None], seed: str) -> None:
        try:
            loop(random.Random(seed))
        except BaseException as error:  # noqa: BLE001 - raised when all is over
            self._failures.append(error)
            self._over.set()

    def _visits(self, chance: random.Random) -> None:
        """Make visits, and send any of the last thousand."""
        pool: list[tuple[Item, Item]] = []
        while not self._over.wait(self._pause):
            pool += [self._visit(chance) for _ in range(BATCH)]
            chance.shuffle(pool)
            if len(pool) > WITHIN // 2 or chance.random() < 0.9:
                sent, pool = pool[:BATCH], pool[BATCH:]
                self._send_visits(sent)
                pool += [self._again(each) for each in sent if chance.random() < TWICE]
        for at in range(0, len(pool), BATCH):
            self._send_visits(pool[at : at + BATCH])

    def _visit(self, chance: random.Random) -> tuple[Item, Item]:
        """Return a visit, and what is to be remembered of it."""
        visitor = self._visitor(chance)
        late = chance.random() < LATE
        page = chance.choice(PAGES)
        event: dict[str, Any] = {
            "event_id": str(UUID(int=chance.getrandbits(128), version=4)),
            "occurred_at": now() - DAY_MS * late,
            "type": "page_view",
            "page": f"https://{SITE}{page}",
            "cookie_id": visitor.name,
            "ip": chance.choice(ADDRESSES),
            "user_agent": AGENT,
        }
        if visitor.epoch is not None:
            event |= {"consent_epoch": visitor.epoch, "ad_ids": ad_ids(visitor.number)}
        item = {
            "event_id": event["event_id"],
            "visitor": visitor.name,
            "epoch": visitor.epoch,
            "occurred_at": event["occurred_at"],
            "page": page,
            "trait": "late" if late else "",
        }
        return event, item

    def _visitor(self, chance: random.Random) -> Visitor:
        among = self._spent if self._spent and chance.random() < SPENT else self._given
        with self._lock:
            if among and chance.random() < 0.8:
                return chance.choice(among)
        return self._new()

    def _new(self) -> Visitor:
        number = next(self._numbers)
        return Visitor(f"cookie-{self._seed}-{number}", number)

    @staticmethod
    def _again(visit: tuple[Item, Item]) -> tuple[Item, Item]:
        event, item = visit
        return event, {**item, "trait": "twice"}

    def _send_visits(self, visits: Sequence[tuple[Item, Item]]) -> None:
        if visits:
            events, items = zip(*visits, strict=True)
            self._post("/v1/events", {"events": events}, Kind.EVENT, items)

    def _choices(self, chance: random.Random) -> None:
        """Have visitors agree, some of them withdraw, and some of those agree again."""
        while not self._over.wait(self._pause / 4):
            roll = chance.random()
            if roll < 0.55 or not self._given:
                visitor = self._new()
                visitor.stays = chance.random() < 0.3
                self._choose(chance, visitor, "ads", Decision.GIVEN)
                self._is_now(visitor, self._given)
            elif roll < 0.90:
                with self._lock:
                    leaving = [each for each in self._given if not each.stays]
                if leaving:
                    visitor = chance.choice(leaving)
                    self._choose(chance, visitor, "ads", Decision.WITHDRAWN)
                    self._is_now(visitor, self._spent)
            elif roll < 0.95 and self._spent:
                with self._lock:
                    back = chance.choice(self._spent)
                self._choose(chance, back, "ads", Decision.GIVEN)
                self._is_now(back, self._given)
            else:
                self._choose(chance, self._about(self._new()), "analytics", Decision.OBJECTED)

    def _about(self, visitor: Visitor) -> Visitor:
        """Have somebody be about who never agreed to ads."""
        self._is_now(visitor, self._spent)
        return visitor

    def _is_now(self, visitor: Visitor, among: deque[Visitor]) -> None:
        with self._lock:
            for each in (self._given, self._spent):
                with suppress(ValueError):
                    each.remove(visitor)
            among.append(visitor)

    def _choose(
        self, chance: random.Random, visitor: Visitor, purpose: str, decision: Decision
    ) -> None:
        change = {
            "change_id": str(UUID(int=chance.getrandbits(128), version=4)),
            "cookie_id": visitor.name,
            "purpose": purpose,
            "decision": decision.value,
            "notice_id": "banner",
            "notice_version": "1",
            "how": "banner",
        }
        item = {
            "change_id": change["change_id"],
            "visitor": visitor.name,
            "purpose": purpose,
            "decision": decision.value,
        }

        def with_epoch(answer: Mapping[str, Any]) -> Item:
            return {**item, "epoch": int(answer["epochs"][purpose])}

        answer = self._post("/v1/consent", change, Kind.CONSENT, [item], with_epoch)
        if decision is Decision.GIVEN and answer is not None:
            visitor.epoch = int(answer["epochs"][purpose])

    def _forms(self, chance: random.Random) -> None:
        """Have people ask for samples, which are delivered to most of them a little later."""
        open_: list[str] = []
        while not self._over.wait(self._pause):
            if (case_id := self._ask(chance)) is not None:
                open_.append(case_id)
            chance.shuffle(open_)
            while len(open_) > 5 and chance.random() < 0.7:
                self._deliver(chance, open_.pop())

    def _ask(self, chance: random.Random) -> str | None:
        company = self._stack.company
        fields = company.fill_in("sample-request")
        body = {"fields": fields, "idempotency_key": f"{chance.getrandbits(128):032x}"}
        item = {"email": fields["email"], "key": body["idempotency_key"]}

        def as_case(answer: Mapping[str, Any]) -> Item:
            case_id = str(answer["case_id"])
            company.crm.keep(case_id, {each: str(value) for each, value in fields.items()})
            return {**item, "case_id": case_id, "wrapped": self._wrapped(case_id)}

        answer = self._post("/v1/forms/sample-request", body, Kind.FORM, [item], as_case)
        return None if answer is None else str(answer["case_id"])

    def _wrapped(self, case_id: str) -> list[str]:
        """Return the case's wrapped keys: no byte of them may be found once it is deleted."""
        with suppress(SQLAlchemyError, LedgerError), self._stack.ledger.reading() as connection:
            mine = select(case_keys.c.wrapped).where(case_keys.c.case_id == case_id)
            return [b64encode(each).decode() for each in connection.scalars(mine)]
        return []

    def _deliver(self, chance: random.Random, case_id: str) -> None:
        told: dict[str, Any] = {
            "event_id": str(UUID(int=chance.getrandbits(128), version=4)),
            "service": "sample-request", "event": "delivered", "case_id": case_id, "group": None,
            "at": now(), "by": "back-office", "details": {},
        }  # fmt: skip
        item = {"event_id": told["event_id"], "case_id": case_id}
        self._acked.tried(Kind.ENDED, [item])
        value = encode("service_event", told)
        if self._produce("service-events", case_id.encode(), value) is not None:
            self._acked.acked(Kind.ENDED, [item])

    def _rubbish(self, chance: random.Random) -> None:
        """Put on topics what nobody can read."""
        while not self._over.wait(8 * self._pause):
            topic, value = chance.choice(POISONED), chance.choice(RUBBISH)
            self._acked.tried(Kind.POISON, [{}])
            place = self._produce(topic, f"nobody-{chance.getrandbits(32)}".encode(), value)
            if place is not None:
                self._acked.acked(Kind.POISON, [{"place": place}])

    def _produce(self, topic: str, key: bytes, value: bytes) -> str | None:
        """Publish a message and return its place; None: all is over, and the broker is not back."""
        places: list[str] = []

        def stored(error: Any, message: Any) -> None:
            if error is None:
                places.append(f"{message.topic()}:{message.partition()}:{message.offset()}")

        self._count(tried=1)
        self._producer.produce(
            self._stack.settings.topic(topic), key=key, value=value, on_delivery=stored
        )
        deadline = None
        while not places and (deadline is None or time.monotonic() < deadline):
            self._producer.poll(0.2)
            if self._over.is_set():
                deadline = deadline or time.monotonic() + GIVE_UP_SECONDS
        return places[0] if places else None

    def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        kind: Kind,
        items: Sequence[Item],
        told: Callable[[Mapping[str, Any]], Item] | None = None,
    ) -> Mapping[str, Any] | None:
        """Send until it is acknowledged, and return the answer; None: all is over, and it is not.

        ``told`` makes of the answer what is noted of the one item.
        """
        deadline = None
        while deadline is None or time.monotonic() < deadline:
            self._acked.tried(kind, items)
            self._count(tried=1)
            status, answer = self._call(path, body)
            if status == 202:
                self._acked.acked(kind, items if told is None else [told(answer)])
                self._count(acknowledged=1)
                return answer
            if status not in AGAIN:
                raise ChaosError(f"the collector answered {path} with {status}: {answer}")
            time.sleep(0.2)
            if self._over.is_set():
                deadline = deadline or time.monotonic() + GIVE_UP_SECONDS
        return None

    def _call(self, path: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._stack.settings.collector.port}{path}",
            json.dumps(body).encode(),
            {"X-Lethe-Key": SITE_KEY, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, {"said": error.read().decode(errors="replace")}
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}  # ValueError: an answer that broke off

    def _count(self, *, tried: int = 0, acknowledged: int = 0) -> None:
        with self._lock:
            self.tried += tried
            self.acknowledged += acknowledged
