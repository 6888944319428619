"""What must not be, counted: each function looks at a world after the fire for one invariant.

Pure: ``World`` is all that was found, and ``Owed`` all that the rig's own ledger says was tried and
acknowledged. A violation bears the time at which what it is about was acknowledged, so that it can
be laid at the fault of that time; None, where it is about the whole run.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from privacy.consent import Decision
from privacy.durations import DAY_MS
from tests.chaos.owed import Owed, Visit
from tests.chaos.report import VIOLATIONS, Row

SLACK_MS = 500  # for a stand-in to look at what has reached its socket
SLOW_MS = 3_000  # for what was sent to reach it through a network that is in trouble

# Whose visits a provider is told of who agreed: those of a page, or None, all.
TOLD: Mapping[str, str | None] = {
    "ga4": None, "google-ads": "/thanks", "linkedin": "/thanks", "meta": None, "x": "/thanks",
}  # fmt: skip
# What may have been taken is never sent again, but to those that take all or nothing, and once.
CERTAIN = frozenset({"meta"})

Path = tuple[str, ...]
Cell = tuple[int, int]  # visitors, events


class Violation(NamedTuple):
    """``kind`` is one of ``report.VIOLATIONS``; ``what`` names things by their ids."""

    kind: str
    at: int | None
    what: str


class End(NamedTuple):
    """That a visitor's consent of before ``epoch`` ended; None: it is not effective yet."""

    visitor: str
    epoch: int
    effective_at: int | None


class Called(NamedTuple):
    """A provider's call: the events it told of, and the visitors it made members, by name."""

    provider: str
    began: int
    events: Sequence[str] = ()
    members: Sequence[str] = ()


class Case(NamedTuple):
    """A case in the ledger: its state, or that it was deleted, and certified."""

    state: str
    certified: bool = False


@dataclass
class World:
    """What was found after the fire."""

    facts: Mapping[str, int] = field(default_factory=dict)  # rows of an event under FINAL
    stored: Mapping[str, int] = field(default_factory=dict)  # rows of it without
    loadable: Mapping[str, int] = field(default_factory=dict)  # times it is on its topic
    cells: Mapping[int, Mapping[Path, Cell]] = field(default_factory=dict)  # by day, of content
    changes: Counter[str] = field(default_factory=Counter)  # in the ledger, by id
    standings: Mapping[tuple[str, str], str] = field(default_factory=dict)  # visitor, purpose
    states: Mapping[str, Sequence[int]] = field(default_factory=dict)  # epochs told, in order
    ends: Sequence[End] = ()
    calls: Sequence[Called] = ()
    slow: Sequence[tuple[int, int]] = ()  # from when to when the network was in trouble
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)  # by provider and event
    fates: Mapping[tuple[str, str], str] = field(default_factory=dict)  # likewise
    told_of: Mapping[str, str] = field(default_factory=dict)  # conversions' ids: their event
    there: frozenset[tuple[str, str]] = frozenset()  # providers that have something of a visitor
    cases: Mapping[str, Case] = field(default_factory=dict)
    made_of: Mapping[str, str] = field(default_factory=dict)  # idempotency key: case
    said: Mapping[str, Sequence[str | None]] = field(default_factory=dict)  # case: states told
    seen: Mapping[str, str] = field(default_factory=dict)  # case: the address a department reads
    rejects: Mapping[str, str] = field(default_factory=dict)  # place: reason
    lying: frozenset[str] = frozenset()  # places of poison that can still be read
    traces: Sequence[str] = ()  # of deleted cases in the ledger
    found: Sequence[str] = ()  # personal data on disks where there must be none
    logged: Sequence[str] = ()  # personal data in logs
    blind: bool = False  # the search did not find what is there on purpose
    behind: Mapping[str, int] = field(default_factory=dict)  # what is not done in time


Check = Callable[[Owed, World], Iterator[Violation]]


def acknowledged_is_there(owed: Owed, world: World) -> Iterator[Violation]:
    """I1: what was acknowledged is there, or refused for a reason; and there is nothing else."""
    objected = owed.of("analytics").keys()
    for name, visit in owed.visits.items():
        if visit.acked_at and name not in world.facts and visit.visitor not in objected:
            yield Violation("lost", visit.acked_at, f"event {name}")
    for name, change in owed.changes.items():
        if change.acked_at and not world.changes[name]:
            yield Violation("lost", change.acked_at, f"change {name}")
    for name, form in owed.forms.items():
        if name not in world.cases:
            yield Violation("lost", form.acked_at, f"case {name}")
        elif name not in owed.ending and world.seen.get(name) != form.email:
            yield Violation("lost", form.acked_at, f"case {name}, for its department")
    sent = {world.made_of[each] for each in owed.keys if each in world.made_of}
    for name in (
        *(world.facts.keys() - owed.visits.keys()),
        *(world.changes.keys() - owed.changes.keys()),
        *(world.cases.keys() - sent),
    ):
        yield Violation("doubled", None, f"{name}, which nobody sent")


def events_are_one_row(owed: Owed, world: World) -> Iterator[Violation]:
    """I2: one row an event under FINAL, and no message was loaded twice."""
    for name, count in world.facts.items():
        at = owed.acked_at(name)
        for _ in range(count - 1):
            yield Violation("doubled", at, f"event {name} under FINAL")
        if world.stored.get(name, 0) > world.loadable.get(name, 0):
            yield Violation("doubled", at, f"event {name}, loaded twice")


def figures_can_be_recounted(owed: Owed, world: World) -> Iterator[Violation]:
    """I3: statistics before suppression are what the rig's own ledger counts.

    A visitor has another hash each day of receipt: over midnight one is counted twice at most.
    """
    days = owed.days()
    counted: dict[int, dict[Path, tuple[set[str], int]]] = defaultdict(dict)
    for name in world.facts.keys() & owed.visits.keys():
        visit = owed.visits[name]
        cells = counted[visit.occurred_at // DAY_MS]
        paths: Sequence[Path] = ((), ("page_view",), ("page_view", visit.page))
        for path in paths:
            visitors, events = cells.get(path, (set(), 0))
            cells[path] = visitors | {visit.visitor}, events + 1
    for day in counted.keys() | world.cells.keys():
        ours = {path: (len(who), events) for path, (who, events) in counted[day].items()}
        theirs = world.cells.get(day, {})
        for path in ours.keys() | theirs.keys():
            mine, shown = ours.get(path, (0, 0)), theirs.get(path, (0, 0))
            if mine[1] != shown[1] or not mine[0] <= shown[0] <= mine[0] * days:
                kind = "lost" if shown < mine else "doubled"
                yield Violation(kind, None, f"day {day}, {path}: {shown} instead of {mine}")


class _Consents:
    """From when on nothing may be sent any more."""

    def __init__(self, owed: Owed, world: World) -> None:
        self._ends: defaultdict[str, list[End]] = defaultdict(list)
        for end in world.ends:
            self._ends[end.visitor].append(end)
        self._changes = owed.of("ads")

    def over_at(self, visitor: str, epoch: int) -> float:
        """Return from when on nothing may begin that this consent bore."""
        over = [each.effective_at for each in self._ends[visitor] if each.epoch > epoch]
        return min([each for each in over if each is not None], default=float("inf"))

    def was_over(self, visit: Visit) -> bool:
        """Tell whether the consent that a visit names was gone, or none, before it was sent."""
        return visit.epoch is None or any(
            each.epoch > visit.epoch and (each.acked_at or 0) < visit.tried_at
            for each in self._changes.get(visit.visitor, ())
            if each.acked_at and each.decision is not Decision.GIVEN
        )

    def may_be_member(self, visitor: str, at: int) -> bool:
        """Tell whether any consent of a visitor was not over at a time."""
        given = (e for e in self._changes.get(visitor, ()) if e.decision is Decision.GIVEN)
        return any(at <= self.over_at(visitor, each.epoch) for each in given)


def _sent_at(call: Called, world: World) -> int:
    """Return when a call began at the latest, of which is known when it arrived."""
    slow = any(began <= call.began <= ended + SLOW_MS for began, ended in world.slow)
    return call.began - (SLOW_MS if slow else SLACK_MS)


def nothing_is_sent_without_consent(owed: Owed, world: World) -> Iterator[Violation]:
    """I4: no call begins after a withdrawal is effective, none tells of who had not agreed."""
    consents = _Consents(owed, world)
    for call in world.calls:
        sent_at = _sent_at(call, world)
        for name in call.events:
            visit = owed.visits.get(world.told_of.get(name, name))
            if visit is None:
                continue
            late = sent_at - consents.over_at(visit.visitor, visit.epoch or 0)
            if consents.was_over(visit) or late > 0:
                when = f", {late} ms after it was over" if late > 0 else ""
                yield Violation("without_consent", visit.acked_at, f"{call.provider}: {name}{when}")
        for who in call.members:
            if not consents.may_be_member(who, sent_at):
                yield Violation("without_consent", None, f"{call.provider}: {who} made a member")
    yield from _counted_against_their_will(owed, world)


def _counted_against_their_will(owed: Owed, world: World) -> Iterator[Violation]:
    objected = {
        who: min((each.acked_at for each in those if each.acked_at), default=None)
        for who, those in owed.of("analytics").items()
    }
    for name in world.facts.keys() & owed.visits.keys():
        visit = owed.visits[name]
        since = objected.get(visit.visitor)
        if since is not None and visit.tried_at > since:
            yield Violation("without_consent", visit.acked_at, f"{name} counted")


def nothing_is_left_behind(owed: Owed, world: World) -> Iterator[Violation]:
    """I5: of what is deleted no byte is found, and each deletion is certified.

    Of who withdrew nothing is at a provider that can remove it.
    """
    for name, at in owed.ended.items():
        if not world.cases.get(name, Case("gone")).certified:
            yield Violation("left_behind", at, f"case {name} has no certificate")
    for each in (*world.traces, *world.found):
        yield Violation("left_behind", None, each)
    if world.blind:
        yield Violation("left_behind", None, "the search does not find what is there on purpose")
    decided = owed.of("ads")
    for provider, who in sorted(world.there):
        those = decided.get(who, ())
        if those and those[-1].decision is not Decision.GIVEN and all(e.acked_at for e in those):
            yield Violation("left_behind", those[-1].acked_at, f"{provider} still has {who}")


def providers_take_once(owed: Owed, world: World) -> Iterator[Violation]:
    """I6: an event takes effect once at most at a provider, and has a fate at each it is for."""
    for (provider, name), times in world.taken.items():
        at = owed.acked_at(world.told_of.get(name, name))
        for _ in range(times - 1):
            yield Violation("doubled", at, f"{provider}: {name}")
    for (provider, name), fate in world.fates.items():
        visit = owed.visits.get(world.told_of.get(name, name))
        if visit is not None and fate == "delivered" and not world.taken[provider, name]:
            yield Violation("lost", visit.acked_at, f"{provider}: {name} was never taken")
    yield from _every_provider_is_told(owed, world)


def _every_provider_is_told(owed: Owed, world: World) -> Iterator[Violation]:
    """Look at visits of those who agreed and stay; what else becomes of them has its reasons."""
    stays = {
        who
        for who, those in owed.of("ads").items()
        if all(each.decision is Decision.GIVEN and each.acked_at for each in those)
    }
    fates: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for (provider, name), fate in world.fates.items():
        fates[provider, world.told_of.get(name, name)].add(fate)
    for name, visit in owed.visits.items():
        if not (visit.acked_at and visit.epoch and visit.visitor in stays) or visit.late:
            continue
        for provider, page in TOLD.items():
            good = {"delivered"} if provider in CERTAIN else {"delivered", "uncertain"}
            if page in {None, visit.page} and not fates[provider, name] & good:
                became = ", ".join(sorted(fates[provider, name])) or "unknown there"
                yield Violation("lost", visit.acked_at, f"{provider}: {name} is {became}")


def order_is_kept(owed: Owed, world: World) -> Iterator[Violation]:
    """I7: of one visitor or case, what came later stands, and is told later."""
    for who, epochs in world.states.items():
        # Who was killed before it was noted sends once more, in order; readers know the newer one.
        if epochs[-1] < max(epochs):
            yield Violation("out_of_order", None, f"state of {who}: {epochs[-1]} is the last")
    for purpose in ("ads", "analytics"):
        for who, those in owed.of(purpose).items():
            last = those[-1]
            if all(each.acked_at for each in those):
                stands = world.standings.get((who, purpose))
                if stands != last.decision:
                    yield Violation("out_of_order", last.acked_at, f"{who} {purpose}: {stands}")
    for case, states in world.said.items():
        if None in states and any(each is not None for each in states[states.index(None) :]):
            at = owed.forms[case].acked_at if case in owed.forms else None
            yield Violation("out_of_order", at, f"case {case} told of after its deletion")


def all_is_read_in_time(_: Owed, world: World) -> Iterator[Violation]:
    """I8: a minute after the last fault everything is read and done."""
    for what, count in world.behind.items():
        for _each in range(count):
            yield Violation("lost", None, f"not done in time: {what}")


def poison_is_a_dead_letter(owed: Owed, world: World) -> Iterator[Violation]:
    """I9: dead letters are the rubbish that was sent, and it lies where they say."""
    for place, at in owed.poison.items():
        if place not in world.rejects:
            yield Violation("lost", at, f"no dead letter of {place}")
        elif place not in world.lying:
            yield Violation("lost", at, f"nothing lies at {place}")
    others = sorted(world.rejects.keys() - owed.poison.keys())
    for place in others[owed.doubtful :]:
        yield Violation("lost", None, f"{place} was good, and refused: {world.rejects[place]}")


def logs_name_nobody(_: Owed, world: World) -> Iterator[Violation]:
    """I10: no personal data in any log."""
    for each in world.logged:
        yield Violation("left_behind", None, each)


INVARIANTS: Mapping[str, Check] = {
    "I1": acknowledged_is_there,
    "I2": events_are_one_row,
    "I3": figures_can_be_recounted,
    "I4": nothing_is_sent_without_consent,
    "I5": nothing_is_left_behind,
    "I6": providers_take_once,
    "I7": order_is_kept,
    "I8": all_is_read_in_time,
    "I9": poison_is_a_dead_letter,
    "I10": logs_name_nobody,
}


class Episode(NamedTuple):
    """A fault that was injected, from when to when, in milliseconds since 1970."""

    fault: str
    began: int
    ended: int = 0
    note: str = ""


def violations(owed: Owed, world: World) -> list[tuple[str, Violation]]:
    """Return every violation with the invariant that it breaks."""
    return [(name, each) for name, look in INVARIANTS.items() for each in look(owed, world)]


def rows(
    owed: Owed,
    found: Sequence[Violation],
    episodes: Sequence[Episode],
    *,
    seed: int,
    upto: int,
    plan: str = "",
) -> list[Row]:
    """Return a row for each episode, and one for each thing that goes wrong all along.

    What was acknowledged from an episode's beginning to the next one's belongs to it. What belongs
    to none is laid at the whole run.
    """
    begins = [each.began for each in episodes]
    ends = [*begins[1:], None]
    blamed: dict[int, Counter[str]] = defaultdict(Counter)
    for each in found:
        place = -1 if each.at is None else bisect_right(begins, each.at) - 1
        blamed[place][each.kind] += 1

    def row(fault: str, times: int, in_flight: int, counted: Mapping[str, int], note: str) -> Row:
        counts = {each: counted.get(each, 0) for each in VIOLATIONS}
        return Row(fault, times, in_flight, **counts, seed=seed, note=note, upto=upto, plan=plan)

    made = []
    for number, (episode, end) in enumerate(zip(episodes, ends, strict=True)):
        until = len(owed.when) if end is None else bisect_right(owed.when, end)
        in_flight = until - bisect_right(owed.when, episode.began)
        made.append(row(episode.fault, 1, in_flight, blamed[number], episode.note))
    along = _all_along(owed)
    made += [row(name, times, times, {}, "") for name, times in along.items()]
    made.append(row("the whole run", 1, len(owed.when), blamed[-1], ""))
    return made


def _all_along(owed: Owed) -> Mapping[str, int]:
    """Return what goes wrong all the time, and how often it did."""
    return {
        "sent twice": sum(times > 1 for times in owed.twice.values()),
        "a day late": sum(each.late for each in owed.visits.values()),
        "rubbish on topics": len(owed.poison),
    }
