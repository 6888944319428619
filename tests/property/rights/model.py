"""What must be true of people, their cases and their visits, whatever happens to the machines.

All in plain words of its own: nothing of what it is held against is used here.
"""

from dataclasses import dataclass, field

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
LATE_MS = 25 * HOUR_MS  # an erased visitor's events may come until then
NOTICED_MS = 60_000
AMPLE_MS = 600_000
A_DAY, A_MONTH = 5, 3  # confirming letters; requests of one right

LISTS = {"news": "news", "tips": "tips"}  # by service
INTEREST = {"poll", "news"}  # Art. 6(1)(f) GDPR
CONSENT = {"tips"}
PURPOSES = ("statistics", "ads")
_JUDGED = {
    "progressed": "in_process",
    "rejected": "rejected",
    "withdrawn": "ended",
    "process_ended": "over",
}
_TOLD = {"noticed": "ended", "withdrawn": "ended"}
MOVES: dict[str, dict[str, dict[str, str]]] = {
    "samples": {"open": {"delivered": "ended", "withdrawn": "ended"}},
    "jobs": {
        "open": _JUDGED,
        "in_process": _JUDGED,
        "rejected": _TOLD,
        "over": _TOLD,
    },
    "poll": {
        "open": {"survey_closed": "ended", "withdrawn": "ended"},
        "kept": {"consent_withdrawn": "ended", "withdrawn": "ended"},
    },
    "news": {"open": {"unsubscribed": "ended"}},
    "tips": {"open": {"unsubscribed": "ended"}},
}
_FURTHER = {"survey_closed": "kept", "consent_withdrawn": "open"}
CLOSING = {"jobs": "process_ended", "poll": "survey_closed"}


@dataclass
class Case:
    """One submission. ``told``: departments know of it."""

    case_id: str
    service: str
    email: str
    group: str | None
    received: int
    further: bool
    state: str = "open"
    held: bool = False
    claimed: bool = False
    told: bool = True
    name: str = "A"
    since: int = 0
    waits: list[tuple[str, str]] = field(default_factory=list)

    def end(self) -> None:
        """Be erased; what waited for the case is, too."""
        self.state, self.waits = "ended", []

    def after(self, event: str) -> str | None:
        """Return the state after an event; None: it is refused."""
        moves = MOVES[self.service].get(self.state, {})
        if self.service == "poll" and self.further and self.state == "open":
            moves = moves | _FURTHER
        return moves.get(event)


@dataclass
class Visitor:
    """What a visitor decided, and what rights are in force."""

    decided: dict[str, str] = field(default_factory=dict)
    change: dict[str, str] = field(default_factory=dict)  # that gave a consent
    spent: set[str] = field(default_factory=set)
    erased_until: int = 0
    visits: dict[str, int] = field(default_factory=dict)  # by event: its day
    hidden: set[str] = field(default_factory=set)  # under a restriction

    def decide(self, purpose: str, decision: str, change_id: str) -> None:
        """Apply a decision; a consent that is over is not given again by its own retry."""
        if decision == "given" and f"{purpose}/{change_id}" in self.spent:
            return
        if self.decided.get(purpose) == decision:
            return
        if self.decided.get(purpose) == "given":
            self.spent.add(f"{purpose}/{self.change[purpose]}")
        self.decided[purpose] = decision
        self.change[purpose] = change_id


@dataclass
class Request:
    """What somebody asked, and how far it must be."""

    name: str
    right: str
    email: str | None
    cookie: str | None
    received: int
    ground: str | None = None
    by: str = ""
    name_to: str | None = None
    purposes: tuple[str, ...] = ()
    confirmed: bool = False
    decided: bool = False
    refused: bool = False
    told: bool = True


class Model:
    """The state of everybody, ``now`` in milliseconds since 1970."""

    def __init__(self) -> None:
        self.now = 0
        self.cases: dict[str, Case] = {}
        self.visitors: dict[str, Visitor] = {}
        self.requests: dict[str, Request] = {}
        self.suppressed: dict[str, int] = {}
        self.opted_out: dict[tuple[str, str], int] = {}
        self.holds: dict[str, tuple[str | None, str | None]] = {}  # whose: address, cookie
        self.closed: dict[tuple[str, str], str] = {}
        self.handled: set[str] = set()
        self.letters: set[tuple[str, str]] = set()

    def open_cases(self, email: str | None) -> list[Case]:
        return [c for c in self.cases.values() if c.email == email and c.state != "ended"]

    def is_held(self, email: str | None) -> bool:
        return email is not None and any(whose == email for whose, _ in self.holds.values())

    def is_restricted(self, cookie: str | None) -> bool:
        return cookie is not None and any(whose == cookie for _, whose in self.holds.values())

    def visitor(self, cookie: str) -> Visitor:
        return self.visitors.setdefault(cookie, Visitor())

    # Cases

    def begin(self, case: Case) -> None:
        """Begin a case, once; what an erasure, a list or a group has ended comes too late."""
        if case.case_id in self.cases:
            return
        self.cases[case.case_id] = case
        case.since = self.now
        if case.received <= self.suppressed.get(case.email, -1):
            case.state = "ended"
        elif self.is_held(case.email):
            case.held, case.told = True, False
        elif (event := self._ended_by(case)) is not None:
            self._move(case, event)

    def _ended_by(self, case: Case) -> str | None:
        list_ = LISTS.get(case.service)
        if list_ is None:
            return self.closed.get((case.service, case.group or ""))
        at = self.opted_out.get((list_, case.email))
        if at is not None and at < case.received:
            del self.opted_out[list_, case.email]
            at = None
        return None if at is None else "unsubscribed"

    def event(self, event_id: str, service: str, event: str, case_id: str) -> None:
        if event_id in self.handled:
            return
        self.handled.add(event_id)
        case = self.cases.get(case_id)
        if case is not None and case.service == service and case.state != "ended":
            self.drive(case, event_id, event)

    def drive(self, case: Case, event_id: str, event: str) -> None:
        """Apply an event to a case, or have it wait for what holds or keeps the case."""
        after = case.after(event)
        if case.held or (after == "ended" and case.claimed):
            if (event_id, event) not in case.waits:
                case.waits.append((event_id, event))
        elif after is not None:
            self._move(case, event)
            if event == "unsubscribed":
                self.unsubscribe(case.email, LISTS[case.service], event_id)

    def _move(self, case: Case, event: str) -> None:
        after = case.after(event)
        if after is None:
            return
        case.state, case.since = after, self.now
        if event == "consent_withdrawn":
            case.further = False

    def unsubscribe(self, email: str, list_: str, cause: str) -> None:
        self.opted_out[list_, email] = self.now
        for case in self.open_cases(email):
            if LISTS.get(case.service) == list_:
                self._let(case, cause, "unsubscribed")

    def _let(self, case: Case, cause: str, event: str) -> None:
        """Apply an event to a case that may be held or kept, without what follows for others."""
        after = case.after(event)
        if case.held or (after == "ended" and case.claimed):
            if (cause, event) not in case.waits:
                case.waits.append((cause, event))
        else:
            self._move(case, event)

    def close_group(self, event_id: str, service: str, group: str) -> None:
        if event_id in self.handled:
            return
        self.handled.add(event_id)
        if (service, group) in self.closed:
            return
        self.closed[service, group] = CLOSING[service]
        for case in self.cases.values():
            if (case.service, case.group) == (service, group) and not case.held:
                self._close(case)

    def _close(self, case: Case) -> None:
        event = self.closed.get((case.service, case.group or ""))
        if event is not None and not case.claimed and case.state != "ended":
            self._move(case, event)

    def release(self, case: Case) -> None:
        case.claimed = False
        if not case.held and case.state != "ended":
            self._resume(case)

    def _resume(self, case: Case) -> None:
        """Apply what waited, in order, then what closed the group."""
        if case.state == "ended":
            case.waits = []
            return
        before = None if case.told else self._ended_by(case)
        case.told = True
        waited, case.waits = case.waits, []
        for event_id, event in waited:
            if case.state != "ended":
                self.drive(case, event_id, event)
        if case.state == "ended":
            case.waits = []
        elif before is not None and case.service in LISTS:
            self._let(case, case.case_id, before)
        else:
            self._close(case)

    # Requests

    def ask(self, new: Request) -> None:
        if new.name in self.requests:
            return
        self.requests[new.name] = new
        if new.email is None or new.by:
            return
        since = new.received - DAY_MS
        today = [r for r in self.requests.values() if r.email == new.email and r.received >= since]
        if len(today) <= A_DAY:
            self.letters.add((new.name, "confirm"))
        else:
            self._refuse(new, told=len(today) == A_DAY + 1)

    def _refuse(self, request: Request, *, told: bool = True) -> None:
        request.decided, request.refused, request.told = True, True, told
        if told and request.email is not None:
            self.letters.add((request.name, "answer"))

    def confirm(self, name: str, by: str) -> None:
        request = self.requests[name]
        wrong = (by == "link") != (request.email is not None) and not by.startswith("operator")
        if request.decided or wrong:
            return
        request.confirmed, request.by = True, by
        since = request.received - 31 * DAY_MS
        mine = [
            r
            for r in self.requests.values()
            if (r.email, r.right, r.by) == (request.email, request.right, "link")
            and r.confirmed
            and r.received >= since
        ]
        if by == "link" and len(mine) > A_MONTH:
            self._refuse(request)
        else:
            self.carry_out(request)

    def refuse(self, name: str) -> None:
        if not self.requests[name].decided:
            self._refuse(self.requests[name])

    def carry_out(self, request: Request) -> None:
        request.decided = True
        if request.email is not None:
            self.letters.add((request.name, "answer"))
        getattr(self, f"_{request.right}")(request)

    def _access(self, request: Request) -> None:
        """Copy, and change nothing."""

    def _portability(self, request: Request) -> None:
        mine = self.open_cases(request.email) if request.email is not None else []
        request.refused = any(case.service in INTEREST for case in mine)

    def _rectification(self, request: Request) -> None:
        mine = self.open_cases(request.email)
        for case in mine:
            case.name = request.name_to or case.name
        request.refused = not mine

    def _erasure(self, request: Request) -> None:
        email, cookie = request.email, request.cookie
        was_held = self.is_held(email) or self.is_restricted(cookie)
        mine = self.open_cases(email) if email is not None else []
        if email is not None:
            self.suppressed[email] = self.now
        for case in mine:
            if case.claimed:
                request.refused = True
            else:
                case.end()
        for list_ in {LISTS[case.service] for case in mine if case.service in LISTS}:
            self.unsubscribe(email or "", list_, request.name)
        if cookie is not None:
            for purpose in PURPOSES:
                self.visitor(cookie).decide(purpose, "withdrawn", request.name)
            self.visitor(cookie).erased_until = self.now + LATE_MS
            for each in self._mine(cookie) | self.visitor(cookie).hidden:
                del self.visitor(cookie).visits[each]
            self.visitor(cookie).hidden.clear()
            self._lift(None, cookie)
        if was_held and not request.refused:
            self._tell_lifting(request)
            self._lift(email, cookie)

    def _restriction(self, request: Request) -> None:
        self.holds[request.name] = (request.email, request.cookie)
        if request.cookie is not None:
            self.visitor(request.cookie).hidden |= self._mine(request.cookie)
        for case in self.open_cases(request.email) if request.email is not None else ():
            case.held = True

    def _lifting(self, request: Request) -> None:
        if not (self.is_held(request.email) or self.is_restricted(request.cookie)):
            request.refused = True
            return
        self._tell_lifting(request)
        self._lift(request.email, request.cookie)

    def _tell_lifting(self, request: Request) -> None:
        if request.email is not None:
            self.letters.add((request.name, "lifting"))

    def _lift(self, email: str | None, cookie: str | None) -> None:
        for name, (whose, theirs) in list(self.holds.items()):
            left = (
                None if whose == email else whose,
                None if theirs == cookie else theirs,
            )
            self.holds[name] = left
            if left == (None, None):
                del self.holds[name]
        if cookie is not None:
            self.visitor(cookie).hidden.clear()
        if email is None:
            return
        freed = sorted(
            (c for c in self.cases.values() if c.email == email and c.held),
            key=lambda case: case.case_id,
        )
        for case in freed:
            case.held = False
        for case in freed:
            self._resume(case)

    def _objection(self, request: Request) -> None:
        mine = self.open_cases(request.email) if request.email is not None else []
        if request.ground == "legitimate_interest":
            for case in mine:
                if case.service in INTEREST and case.claimed:
                    request.refused = True
                elif case.service in INTEREST:
                    case.end()
            if any(case.service == "news" for case in mine):
                self.unsubscribe(request.email or "", "news", request.name)
            self._decide(request, ("statistics",), "objected")
        elif request.ground == "direct_marketing":
            if request.email is not None:
                self.unsubscribe(request.email, "news", request.name)
            self._decide(request, ("ads",), "objected")

    def _withdrawal(self, request: Request) -> None:
        everything = not request.purposes
        for case in self.open_cases(request.email) if request.email is not None else ():
            if everything and case.further:
                self._let(case, request.name, "consent_withdrawn")
        tips = [c for c in self.open_cases(request.email) if c.service == "tips"]
        if everything and request.email is not None and tips:
            self.unsubscribe(request.email, "tips", request.name)
        if request.cookie is not None:
            given = self.visitor(request.cookie).decided
            mine = [each for each in PURPOSES if given.get(each) == "given"]
            self._decide(request, tuple(mine) if everything else request.purposes, "withdrawn")

    def _decide(self, request: Request, purposes: tuple[str, ...], decision: str) -> None:
        if request.cookie is not None:
            for each in purposes:
                self.visitor(request.cookie).decide(each, decision, request.name)

    def lift_by_operator(self, name: str, lifting: str) -> None:
        if name in self.holds and lifting not in self.requests:
            email, cookie = self.requests[name].email, self.requests[name].cookie
            new = Request(lifting, "lifting", email, cookie, self.now, by="operator: over")
            new.confirmed = True
            self.requests[lifting] = new
            self.carry_out(new)

    # Visits, and time

    def visit(self, event_id: str, cookie: str) -> bool:
        """Count an event, unless a right of its visitor is in force; tell whether it is."""
        if self.is_restricted(cookie) or self.visitor(cookie).erased_until:
            return False
        self.visitor(cookie).visits[event_id] = self.now // DAY_MS
        return True

    def counted(self) -> set[str]:
        """Return the events that statistics know of."""
        return {
            event_id
            for cookie, visitor in self.visitors.items()
            for event_id in visitor.visits.keys() - visitor.hidden
        }

    def _mine(self, cookie: str) -> set[str]:
        """Return the events of which it can still be told whose they are."""
        yesterday = self.now // DAY_MS - 1
        return {name for name, day in self.visitor(cookie).visits.items() if day >= yesterday}

    def forget(self, cookie: str) -> None:
        """Know nothing of what a visitor decided."""
        old = self.visitor(cookie)
        self.visitors[cookie] = Visitor(visits=old.visits, hidden=old.hidden)

    def look(self, at: int, looked_at: int, ended: set[str]) -> None:
        """Have happened what time alone brings until ``at``; it did to those that ``ended``.

        Requests were looked at before, at ``looked_at``.
        """
        for each in self.requests.values():
            if not each.decided and each.received + 72 * HOUR_MS <= looked_at:
                self._refuse(each)
        for case in self.cases.values():
            if case.state in {"rejected", "over"} and not case.held and not case.claimed:
                over = case.since + NOTICED_MS
                if over + AMPLE_MS <= at or (over <= at and case.case_id in ended):
                    case.state = "ended"

    def silent(self) -> set[str]:
        """Return the cases of which nobody may be told anything."""
        return {c.case_id for c in self.cases.values() if c.held and c.state != "ended"}
