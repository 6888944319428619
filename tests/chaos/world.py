"""The world after the fire: all that is found where it would be, as ``check`` looks at it."""

import re
import time
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from lethe.standins.account import SITE, ad_ids
from lethe.standins.desk import Answer, Call
from privacy.durations import DAY_MS
from schemas.codec import WireError, decode
from sinks.ads import hashing
from sinks.clickhouse.client import ClickHouseDownError
from sinks.clickhouse.statistics import Statistics
from sinks.ledger import deletion, tables
from sinks.ledger.deliveries import OPEN, State
from streams import shared
from streams.ids import made_id
from streams.lanes import route
from tests.aside import aside
from tests.chaos.check import Called, Case, End, World
from tests.chaos.owed import Owed
from tests.chaos.search import ADDRESSES, look
from tests.chaos.stack import HEALTHY_SECONDS, Stack

DEPARTMENT = "sales"
SERVICE = "sample-request"
LOOK_SECONDS = 0.5
CLOCKS_AGREE_MS = 1_800_000  # the least that a clock of ``clocks.STEPS`` is off is twice as much
_MEMBERS = re.compile(r"[0-9a-f]{64}")
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def drained(
    stack: Stack, owed: Owed, tell: Callable[[str], None], seconds: float = HEALTHY_SECONDS
) -> Mapping[str, int]:
    """Wait until all is read and done; return what is not, after so many seconds."""
    deadline, told = time.monotonic() + seconds, frozenset[str]()
    while left := _left(stack, owed):
        if left.keys() != told:
            told = frozenset(left)
            tell("still " + ", ".join(f"{count} {what}" for what, count in left.items()))
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    return left


def _left(stack: Stack, owed: Owed) -> Mapping[str, int]:
    """Return what is still to be read and done."""
    if ill := stack.ill():
        return dict.fromkeys(ill, 1)
    if behind := stack.behind():
        return behind
    counts = {
        "withdrawals to be effective": select(func.count()).where(
            tables.withdrawals.c.effective_at.is_(None)
        ),
        "messages to be sent": select(func.count()).select_from(tables.outbox),
        "deletions to be certified": select(func.count()).where(
            tables.deletions.c.completed_at.is_(None)
        ),
    }
    delivery, undone = tables.deliveries.c, tables.reached.c
    # A removal that failed is tried again after a minute, which is longer than we wait.
    removals = select(undone.event_id).where(
        undone.provider == delivery.provider, undone.event_id == delivery.event_id
    )
    open_ = (
        select(delivery.provider, delivery.state, func.count().label("count"))
        .where(delivery.state.in_([*OPEN, State.RELEASED]), ~removals.exists())
        .group_by(delivery.provider, delivery.state)
    )
    with stack.ledger.reading() as connection:
        left = {what: connection.scalar(query) or 0 for what, query in counts.items()}
        fates = connection.execute(open_)
        left |= {f"{each.state} deliveries of {each.provider}": each.count for each in fates}
    try:
        with stack.house() as house:
            ((known,),) = house.query("SELECT count() FROM rejects FINAL")
    except ClickHouseDownError:
        return {"ClickHouse's answers": 1}
    left["dead letters"] = max(0, len(owed.poison) - int(known))
    return {what: count for what, count in left.items() if count}


def found(stack: Stack, owed: Owed, behind: Mapping[str, int]) -> World:
    """Look everywhere. All has to be healthy; raise ChaosError if it is not."""
    stack.wait_healthy()
    world = World(behind=behind)
    _look_at_events(stack, owed, world)
    _look_at_consents(stack, world)
    _look_at_providers(stack, owed, world)
    _look_at_cases(stack, owed, world)
    _look_at_dead_letters(stack, owed, world)
    _look_at_disks(stack, owed, world)
    return world


def _look_at_events(stack: Stack, owed: Owed, world: World) -> None:
    with stack.house() as house:
        every = "SELECT event_id, count() FROM facts{} GROUP BY event_id"
        world.facts = {_text(name): count for name, count in house.query(every.format(" FINAL"))}
        world.stored = {_text(name): count for name, count in house.query(every.format(""))}
    world.loadable = Counter(
        each["event_id"] for each in _records(stack, "tracking-anonymised", "anonymised_event")
    )
    days = {each.occurred_at // DAY_MS for each in owed.visits.values()}
    settings = stack.settings
    statistics = Statistics(shared.clickhouse(settings, "writer"), settings.statistics)
    world.cells = {
        day: {
            path: (cell.visitors, cell.events)
            for path, cell in statistics.before_suppression(SITE, _date(day))["content"].items()
        }
        for day in days
    }


def _look_at_consents(stack: Stack, world: World) -> None:
    changes, withdrawn = tables.consent_changes.c, tables.withdrawals.c
    ends = select(
        changes.visitor, withdrawn.offset, withdrawn.recorded_at, withdrawn.effective_at
    ).where((changes.partition == withdrawn.partition) & (changes.offset == withdrawn.offset))
    with stack.ledger.reading() as connection:
        world.changes = Counter(connection.scalars(select(changes.id)))
        world.standings = {
            (row.visitor, purpose): standing["decision"]
            for row in connection.execute(select(tables.consents))
            for purpose, standing in row.standings.items()
        }
        world.ends = [
            End(who, at + 1, when if _is_time(recorded, when) else None)
            for who, at, recorded, when in connection.execute(ends)
        ]
    states = defaultdict(list)
    for each in _records(stack, "consent-state", "consent_state"):
        states[each["cookie_id"]].append(each["epoch"])
    world.states = states


def _look_at_providers(stack: Stack, owed: Owed, world: World) -> None:
    targets = {
        each.id for provider in stack.company.policy.providers.values()
        for each in provider.conversions
    }  # fmt: skip
    world.told_of = {
        route._id(name, target): name
        for name, visit in owed.visits.items() if visit.epoch
        for target in targets
    }  # fmt: skip
    known = owed.visits.keys() | world.told_of.keys()
    members = {hashing.member(SITE, each.visitor): each.visitor for each in owed.changes.values()}
    calls = list(stack.desk.calls)
    world.calls = [
        Called(
            call.provider,
            call.began,
            sorted(known & {*_IDS.findall(str(call.content))}),
            [members[each] for each in _entering(call) if each in members],
        )
        for call, _ in calls
    ]
    world.taken = Counter(
        {key: times for key, times in stack.desk.taken.items() if key[1] in known}
    )
    row, undone = tables.deliveries.c, tables.reached.c
    due = select(undone.provider, undone.visitor).where(undone.due_at.is_not(None))
    with stack.ledger.reading() as connection:
        world.there = _there(calls, owed, members) - {(*each,) for each in connection.execute(due)}
        fates = connection.execute(select(row.provider, row.event_id, row.state))
        world.fates = {(provider, name): state for provider, name, state in fates}


def _entering(call: Call) -> Sequence[str]:
    """Return whom a call would make members, by what audiences have them under."""
    return [] if call.method == "DELETE" else _MEMBERS.findall(str(call.content))


def _there(
    calls: Iterable[tuple[Call, Answer]], owed: Owed, members: Mapping[str, str]
) -> frozenset[tuple[str, str]]:
    """Return where something is of a visitor: what was taken last, and not removed since.

    Of those who can remove it, and in the order in which calls began.
    """
    clients = {ad_ids(_number(who))["ga_client_id"]: who for who in set(members.values())}
    there: set[tuple[str, str]] = set()
    for call, answer in sorted(calls, key=lambda both: both[0].began):
        its = call.provider
        visits = [
            owed.visits[each] for each in answer.taken if its == "ga4" and each in owed.visits
        ]
        there |= {(its, each.visitor) for each in visits}
        there |= {(its, members[each]) for each in answer.taken if each in members}
        gone = (members.get(each.whom) or clients.get(each.whom) for each in answer.removed)
        there -= {(its, who) for who in gone if who is not None}
    return frozenset(there)


def _number(visitor: str) -> int:
    return int(visitor.rpartition("-")[2])


def _look_at_cases(stack: Stack, owed: Owed, world: World) -> None:
    case, gone = tables.cases.c, tables.deletions.c
    with stack.ledger.reading() as connection:
        rows = connection.execute(select(case.case_id, case.state))
        world.cases = {name: Case(state) for name, state in rows}
        ended = connection.execute(select(gone.case_id, gone.certificate))
        world.cases |= {name: Case("deleted", bool(signed)) for name, signed in ended}
        world.traces = [
            f"the ledger has {each}" for each in deletion.traces(connection, [*owed.ended])
        ]
    world.made_of = {each: made_id("case", SITE, SERVICE, each) for each in owed.keys}
    said = defaultdict(list)
    for message in stack.company.messages(f"cases-{DEPARTMENT}", "case"):
        said[message.key].append(message.record and message.record["state"])
    world.said = said
    present = stack.company.sees(DEPARTMENT)
    world.seen = {name: each.fields["email"] for name, each in present.items()}


def _look_at_dead_letters(stack: Stack, owed: Owed, world: World) -> None:
    with stack.house() as house:
        world.rejects = dict(house.query("SELECT id, reason FROM rejects FINAL"))
    lying = set()
    prefix = stack.settings.kafka.prefix
    for topic in {place.rsplit(":", 2)[0] for place in owed.poison}:
        lying |= {
            f"{topic}:{each.partition()}:{each.offset()}"
            for each in stack.company.lying(topic.removeprefix(prefix))
        }
    world.lying = frozenset(lying & owed.poison.keys())


def _look_at_disks(stack: Stack, owed: Owed, world: World) -> None:
    """Search all that was written, of this company, for what must not be there."""
    crm = str(stack.folder / "crm.db")
    ended = [owed.forms[each] for each in owed.ended if each in owed.forms]
    gone = {_token(each.email) for each in ended}
    living = [form for name, form in owed.forms.items() if name not in owed.ending and form.wrapped]
    seen = aside(
        look,
        [stack.folder, *_topics(stack), *stack.ground.folders[1:]],
        stack.company.marks[0],
        list(stack.settings.data_dir.glob("ledger*")),
        [b64decode(key) for each in ended for key in each.wrapped],
        [b64decode(key) for each in living[:1] for key in each.wrapped],
        stack.folder / "logs",
    )
    allowed = [path.startswith(crm) and word not in {*ADDRESSES, *gone}
               for path, _, word in seen.people]  # fmt: skip
    world.blind = bool(owed.forms.keys() - owed.ended.keys()) and not any(allowed)
    world.blind |= bool(living) and not seen.living
    world.found = [
        *(f"{word} in {Path(path).name}, {how}"
          for (path, how, word), fine in zip(seen.people, allowed, strict=True) if not fine),
        *(f"a deleted case's key in {each}" for each in seen.keys),
    ]  # fmt: skip
    world.logged = [f"somebody in {each}" for each in seen.logged]


def _is_time(recorded_at: int, effective_at: int | None) -> bool:
    """Tell whether a worker's clock agreed with the broker's when a withdrawal was effective.

    Where a fault had set it wrong, what it wrote says nothing of when that was.
    """
    return effective_at is not None and abs(effective_at - recorded_at) < CLOCKS_AGREE_MS


def _token(email: str) -> str:
    return email.partition("@")[0][-8:]


def _topics(stack: Stack) -> Sequence[Path]:
    """Return the folders of this company's topics, of all brokers."""
    prefix = stack.settings.kafka.prefix
    return [each for each in stack.ground.folders[0].rglob(f"{prefix}*") if each.is_dir()]


def _records(stack: Stack, topic: str, record: str) -> Iterator[Mapping[str, Any]]:
    """Read what can be read on a topic."""
    for message in stack.company.lying(topic):
        with suppress(WireError):
            if message.value() is not None:
                yield decode(record, message.value())


def _text(event_id: str | bytes) -> str:
    return event_id.decode() if isinstance(event_id, bytes) else event_id


def _date(day: int) -> Any:
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date()
