"""What is owed: the rig's own ledger, read again, as the invariants ask for it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from privacy.consent import Decision
from privacy.durations import DAY_MS
from tests.chaos.acked import Item, Kind, Line


class Visit(NamedTuple):
    """An event as the site meant it, when it was first tried and when it was acknowledged."""

    visitor: str
    epoch: int | None
    occurred_at: int
    page: str
    late: bool
    tried_at: int
    acked_at: int | None = None


class Change(NamedTuple):
    """A visitor's decision; ``epoch`` once it is acknowledged."""

    visitor: str
    purpose: str
    decision: Decision
    tried_at: int
    acked_at: int | None = None
    epoch: int = 0


class Form(NamedTuple):
    """A case that was acknowledged."""

    email: str
    wrapped: Sequence[str]
    acked_at: int


class Owed:
    """What is owed, from the rig's own ledger."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.visits: dict[str, Visit] = {}
        self.twice: Counter[str] = Counter()  # visits by how often they were tried
        self.changes: dict[str, Change] = {}
        self.forms: dict[str, Form] = {}  # by case
        self.keys: set[str] = set()  # forms' idempotency keys that were tried
        self.ended: dict[str, int] = {}  # cases, and when their end was acknowledged
        self.ending: set[str] = set()  # cases whose end was tried
        self.poison: dict[str, int] = {}  # places, and when it was acknowledged
        self.doubtful = 0  # poison that was tried and not acknowledged
        self.when: list[int] = []  # of everything that was acknowledged, in order
        take = {
            Kind.EVENT: self._visit,
            Kind.CONSENT: self._change,
            Kind.FORM: self._form,
            Kind.ENDED: self._end,
            Kind.POISON: self._poison,
        }
        for line in lines:
            for item in line.items:
                take[line.kind](line, item)
            if line.acked:
                self.when += [line.at] * len(line.items)
        self.when.sort()

    def _visit(self, line: Line, item: Item) -> None:
        name = item["event_id"]
        known = self.visits.get(name) or Visit(
            item["visitor"], item["epoch"], item["occurred_at"], item["page"],
            item["trait"] == "late", line.at,
        )  # fmt: skip
        if line.acked and known.acked_at is None:
            known = known._replace(acked_at=line.at)
        self.visits[name] = known
        self.twice[name] += not line.acked

    def _change(self, line: Line, item: Item) -> None:
        known = self.changes.get(item["change_id"]) or Change(
            item["visitor"], item["purpose"], Decision(item["decision"]), line.at
        )
        if line.acked:
            known = known._replace(acked_at=line.at, epoch=item["epoch"])
        self.changes[item["change_id"]] = known

    def _form(self, line: Line, item: Item) -> None:
        self.keys.add(item["key"])
        if line.acked:
            self.forms[item["case_id"]] = Form(item["email"], item["wrapped"], line.at)

    def _end(self, line: Line, item: Item) -> None:
        self.ending.add(item["case_id"])
        if line.acked:
            self.ended[item["case_id"]] = line.at

    def _poison(self, line: Line, item: Item) -> None:
        self.doubtful += -1 if line.acked else 1
        if line.acked:
            self.poison[item["place"]] = line.at

    def acked_at(self, event_id: str) -> int | None:
        """Return when an event was acknowledged."""
        visit = self.visits.get(event_id)
        return None if visit is None else visit.acked_at

    def days(self) -> int:
        """Return how many days (UTC) it took until all was acknowledged."""
        return self.when[-1] // DAY_MS - self.when[0] // DAY_MS + 1 if self.when else 1

    def of(self, purpose: str) -> Mapping[str, Sequence[Change]]:
        """Return each visitor's decisions about a purpose, in the order they were tried."""
        found = defaultdict(list)
        for each in sorted(self.changes.values(), key=lambda each: each.tried_at):
            if each.purpose == purpose:
                found[each.visitor].append(each)
        return found
