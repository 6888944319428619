"""What may happen: each rule to the world and to the model alike, chosen by a seed."""

import random

from sqlalchemy import Connection, select

from privacy.rights.request import GROUNDS, Right
from schemas.codec import decode
from sinks.ledger import tables
from streams.ids import made_id
from tests.property.rights.broker import Stored
from tests.property.rights.compare import Comparer
from tests.property.rights.model import CLOSING, DAY_MS, HOUR_MS, MOVES, Case, Model, Request
from tests.property.rights.world import Store, World, asked

EMAILS = ("ann@example.com", "bob@example.com", "cat@example.com")
COOKIES = ("k-1", "k-2")
GROUPS = ("g-1", "g-2")
EVENTS = sorted({event for of in MOVES.values() for by in of.values() for event in by})
REPLAYED = (
    "form-submissions", "service-events", "subject-requests", "consent-changes",
    "deletion-receipts-crm",
)  # fmt: skip
MINUTE_MS = 60_000
CRASHES = 0.25
POINTS = 40  # about as many as there are in a step that does much


class Run:
    """Steps of one world, the same for the same seed. ``told`` is what happened."""

    def __init__(self, store: Store, seed: int) -> None:
        self.rng = random.Random(seed)
        self.world, self.model = World(store, self.rng), Model()
        self.comparer = Comparer(self.world, self.model)
        self.told: list[str] = []
        self._late: list[tuple[Case, bytes]] = []
        self._number = 0
        self._decided: set[str] = set()  # consent changes that people made, and no request
        self._rules = {
            self.submit: 12, self.submit_late: 2, self.deliver_late: 2, self.event: 14,
            self.close_group: 2, self.choose: 6, self.ask: 18, self.confirm: 14, self.refuse: 1,
            self.lift: 2, self.claim: 3, self.release: 3, self.visit: 5, self.holder: 4,
            self.wait: 7, self.replay: 2, self.again: 3,
        }  # fmt: skip

    def step(self) -> list[str]:
        """Have something happen, and return what is not as it must be afterwards."""
        self.world.now += 1_000
        day_left = DAY_MS - self.world.now % DAY_MS
        if day_left < 10 * MINUTE_MS:
            self.world.now += day_left  # what is of which day is no matter here
        self.model.now = self.world.now
        if self.rng.random() < CRASHES:
            self.comparer.crashed = True
            self.world.crash_after(self.rng.randrange(POINTS))
        (rule,) = self.rng.choices(list(self._rules), list(self._rules.values()))
        self.told.append(rule())
        self.world.drain()
        return self.comparer.differences()

    def end(self) -> list[str]:
        """Have everybody answer and time pass; return what is still open or wrong."""
        self.world.holder_answers = True
        for _ in range(4):
            self.world.now += 26 * HOUR_MS
            self.world.drain()
        wrong = [*self.comparer.differences(), *self.comparer.names()]
        with self.world.ledger.reading() as connection:
            return wrong + [f"never ends: {each}" for each in _open(connection)]

    def _name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._number:03}"

    def _case(self) -> Case | None:
        cases = list(self.model.cases.values())
        alive = [each for each in cases if each.state != "ended"]
        if alive and self.rng.random() < 0.85:
            return self.rng.choice(alive)
        return self.rng.choice(cases) if cases else None

    # Forms and services

    def _form(self) -> tuple[Case, bytes]:
        service = self.rng.choice(list(MOVES))
        group = self.rng.choice((None, *GROUPS)) if service in CLOSING else None
        further = service == "poll" and self.rng.random() < 0.5
        email, now = self.rng.choice(EMAILS), self.world.now
        case = Case(self._name("c"), service, email, group, now, further)
        notice = {"notice_id": "n", "notice_version": "1"} if further else None
        value = self.world.submit(case.case_id, service, email, now, group=group, further=notice)
        return case, value

    def _deliver(self, case: Case, value: bytes) -> None:
        self.world.broker.put("form-submissions", case.case_id.encode(), value)
        self.model.begin(case)

    def submit(self) -> str:
        case, value = self._form()
        self._deliver(case, value)
        return f"{case.email} submits {case.case_id}, {case.service} in {case.group}"

    def submit_late(self) -> str:
        self._late.append(self._form())
        return f"{self._late[-1][0]} is under way"

    def deliver_late(self) -> str:
        if not self._late:
            return "nothing is under way"
        case, value = self._late.pop(0)
        self._deliver(case, value)
        return f"{case.case_id} arrives"

    def event(self) -> str:
        case = self._case()
        if case is None:
            return "no case"
        mine = [event for by in MOVES[case.service].values() for event in by]
        event = self.rng.choice(mine if self.rng.random() < 0.9 else EVENTS)
        if event in CLOSING.values() and case.group is None and self.rng.random() < 0.5:
            event = mine[0]
        name = self._name("e")
        self.world.report(name, case.service, event, case.case_id, None)
        self.model.event(name, case.service, event, case.case_id)
        return f"{case.case_id}: {event} ({name})"

    def close_group(self) -> str:
        name, service, group = (
            self._name("e"),
            self.rng.choice(list(CLOSING)),
            self.rng.choice(GROUPS),
        )
        self.world.report(name, service, CLOSING[service], None, group)
        self.model.close_group(name, service, group)
        return f"{service} {group} closes"

    # Visitors

    def choose(self) -> str:
        cookie, name = self.rng.choice(COOKIES), self._name("d")
        purpose = self.rng.choice(("statistics", "ads"))
        decision = self.rng.choice(("given", "given", "refused", "withdrawn", "objected"))
        self.world.choose(name, cookie, purpose, decision)
        self.model.visitor(cookie).decide(purpose, decision, name)
        self._decided.add(name)
        return f"{cookie}: {purpose} {decision} ({name})"

    def visit(self) -> str:
        cookie, name = self.rng.choice(COOKIES), self._name("v")
        if self.model.visit(name, cookie):
            self.world.visit(name, cookie)
        return f"{cookie} visits ({name})"

    # Requests

    def ask(self) -> str:
        right = self.rng.choice(list(Right))
        email, cookie = self.rng.choice(
            [(e, None) for e in EMAILS] + [(None, c) for c in COOKIES] + [(EMAILS[0], COOKIES[0])]
        )
        name, now = self._name("r"), self.world.now
        ground = self.rng.choice(GROUNDS[right]) if right in GROUNDS else None
        by = "operator: seen" if email is not None and self.rng.random() < 0.1 else ""
        purposes = (
            ("ads",) if right is Right.WITHDRAWAL and cookie and self.rng.random() < 0.4 else ()
        )
        name_to = name if right is Right.RECTIFICATION else None
        more = {"corrections": {"name": name_to}} if name_to else {}
        of = asked(
            right, email, cookie, token=f"t-{name}", ground=ground, purposes=purposes, **more
        )
        self.world.ask(name, of, by)
        new = Request(name, right, email, cookie, now, ground, by, name_to, purposes)
        self.model.ask(new)
        said = f"{name}: {right} {ground or ''} of {email} {cookie} {by}{purposes}"
        if by or email is None:
            self._confirm(name, by or "cookie")
        elif self.rng.random() < 0.5:
            self._confirm(name, "link")
            said += ", confirmed"
        return said

    def ask_of_visitor(self, right: Right) -> None:
        """Have one visitor ask, by their cookie alone."""
        name, cookie, ground = self._name("r"), COOKIES[0], GROUNDS[right][0]
        self.model.now = self.world.now
        of = asked(right, None, cookie, token=f"t-{name}", ground=ground)
        self.world.ask(name, of, "")
        self.model.ask(Request(name, right, None, cookie, self.world.now, ground))
        self._confirm(name, "cookie")

    def _confirm(self, name: str, by: str) -> None:
        self.world.say(name, "confirmed", by)
        self.model.confirm(name, by)

    def _request(self, *, open_: bool) -> Request | None:
        found = [each for each in self.model.requests.values() if not (open_ and each.decided)]
        return self.rng.choice(found) if found else None

    def confirm(self) -> str:
        request = self._request(open_=self.rng.random() < 0.9)
        if request is None:
            return "no request"
        by = self.rng.choice(("link", "link", "link", "cookie", "operator: seen"))
        self._confirm(request.name, by)
        return f"{request.name} is confirmed by {by}"

    def refuse(self) -> str:
        request = self._request(open_=True)
        if request is None:
            return "no request"
        self.world.say(request.name, "refused", "operator: no", reason="unfounded")
        self.model.refuse(request.name)
        return f"{request.name} is refused"

    def lift(self) -> str:
        if not self.model.holds:
            return "no restriction"
        name = self.rng.choice(list(self.model.holds))
        self.world.say(name, "lifted", "operator: over")
        self.model.lift_by_operator(name, made_id("lifting", name))
        return f"{name} is lifted"

    def claim(self) -> str:
        case = self._case()
        if case is None or case.state == "ended":
            return "nothing to claim"
        self.world.claim(case.case_id)
        case.claimed = True
        return f"{case.case_id} is claimed"

    def release(self) -> str:
        claimed = [each for each in self.model.cases.values() if each.claimed]
        if not claimed:
            return "nothing is claimed"
        case = self.rng.choice(claimed)
        self.world.release(case.case_id)
        self.model.release(case)
        return f"{case.case_id} is released"

    # Time and machines

    def holder(self) -> str:
        self.world.holder_answers = not self.world.holder_answers
        return f"the holder answers: {self.world.holder_answers}"

    def wait(self) -> str:
        time = self.rng.choice((2 * MINUTE_MS, HOUR_MS, 26 * HOUR_MS, 4 * DAY_MS))
        self.world.now += time
        return f"{time // MINUTE_MS} minutes pass"

    def replay(self) -> str:
        topic = self.rng.choice(REPLAYED)
        self.world.replay(topic)
        return f"{topic} is read again"

    def again(self) -> str:
        """Deliver a message of the last hour twice; not of the engine's own on consent."""
        topic = self.rng.choice(REPLAYED)
        since = self.world.now - HOUR_MS
        found = [
            each
            for each in self.world.broker.logs[topic]
            if each.at >= since and (topic != "consent-changes" or self._decision(each) is not None)
        ]
        if not found:
            return "nothing comes twice"
        message = self.rng.choice(found)
        self.world.broker.again(topic, message.offset_)
        if topic == "consent-changes":
            cookie, purpose, decision, name = self._decision(message)
            self.model.visitor(cookie).decide(purpose, decision, name)
        return f"{topic} {message.offset_} comes twice"

    def _decision(self, message: Stored) -> tuple[str, str, str, str] | None:
        change = decode("consent_change", message.value_ or b"")
        if change["change_id"] not in self._decided:
            return None
        return change["cookie_id"], change["purpose"], change["decision"], change["change_id"]


def _open(connection: Connection) -> list[str]:
    table = tables.requests
    over = table.c.state.in_(("answered", "closed"))
    return list(connection.scalars(select(table.c.request_id).where(~over)))
