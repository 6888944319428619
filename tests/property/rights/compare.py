"""Where the world is not as the model has it."""

from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from privacy.consent import ERASURE, RESERVED, RESTRICTION, Decision
from privacy.rights.plan import Act
from privacy.subjects import subject_id
from schemas.codec import decode
from sinks.keys.seal import unseal
from sinks.ledger import consents, tables
from streams.ids import made_id
from tests.property.rights.model import Case, Model
from tests.property.rights.policy import SITE
from tests.property.rights.world import SUBJECT_KEY, Reasons, World

TOLD = ("cases-care", "notices", "mailing-changes")


class Comparer:
    """Knows what was there at the step before."""

    def __init__(self, world: World, model: Model) -> None:
        self._world, self._model = world, model
        self._read: Counter[str] = Counter()
        self._kept: dict[str, tuple[Any, ...]] = {}  # cases under a restriction, as they were
        self._last: dict[tuple[str, bytes], bytes | None] = {}
        self._letters: Counter[tuple[str, str]] = Counter()
        self._forgotten: set[str] = set()
        self.crashed = False

    def differences(self) -> list[str]:
        """Return what differs, in words."""
        world, model = self._world, self._model
        with world.ledger.reading() as connection:
            rows = {each.case_id: each for each in connection.execute(select(tables.cases))}
            self._catch_up(connection, set(model.cases) - set(rows))
            return [
                *self._cases(connection, rows),
                *self._told(),
                *self._people(connection),
                *self._visitors(connection),
                *self._requests(connection),
            ]

    def _catch_up(self, connection: Connection, ended: set[str]) -> None:
        """Have the model know what time has brought, as far as that may be."""
        world, model = self._world, self._model
        model.look(world.now, world.looked_at, ended)
        table = tables.request_commands
        forgotten = table.c.act == Act.FORGET_VISITOR, table.c.done_at.is_not(None)
        for row in connection.execute(select(table).where(*forgotten)):
            cookie = model.requests[row.request_id].cookie
            if row.request_id not in self._forgotten and cookie is not None:
                self._forgotten.add(row.request_id)
                if model.visitor(cookie).erased_until <= row.done_at:
                    model.forget(cookie)

    def _cases(self, connection: Connection, rows: Mapping[str, Any]) -> Iterator[str]:
        model = self._model
        keys = set(connection.scalars(select(tables.case_keys.c.case_id).distinct()))
        gone = set(connection.scalars(select(tables.deletions.c.case_id)))
        waiting: dict[str, list[tuple[str, str]]] = {}
        table = tables.deferred
        for row in connection.execute(select(table).order_by(table.c.case_id, table.c.number)):
            waiting.setdefault(row.case_id, []).append((row.event["event_id"], row.event["event"]))
        for name, case in model.cases.items():
            row = rows.get(name)
            there = row is not None, name in keys, name not in gone
            if there != (case.state != "ended",) * 3:
                yield f"{name} is to be {case.state}; row, key, not deleted: {there}"
            elif row is not None:
                yield from self._alive(case, row)
            if waiting.get(name, []) != case.waits:
                yield f"{name}: {waiting.get(name)} wait, not {case.waits}"
        for name in self._kept.keys() - model.silent():
            del self._kept[name]

    def _alive(self, case: Case, row: Any) -> Iterator[str]:
        name = case.case_id
        if (row.state, row.held is not None) != (case.state, case.held):
            yield f"{name} is {row.state}, held {row.held}; not {case.state}, {case.held}"
        if (row.further is not None) != case.further:
            yield f"{name}: further processing"
        now = row.state, row.changed_at, row.due_at, row.subject
        if case.held and self._kept.setdefault(name, now) != now:
            yield f"{name} is held, and has changed"

    def names(self) -> list[str]:
        """Return where a name is not what it was put right to."""
        world, model = self._world, self._model
        wrong = []
        with world.ledger.reading() as connection:
            for row in connection.execute(select(tables.cases)):
                key = world.vault.open(connection, [row.case_id], "care")[row.case_id]
                sealed = {name: b64decode(each) for name, each in row.sealed.items()}
                opened = unseal(key, sealed, site=SITE, case_id=row.case_id)
                if opened["name"] != model.cases[row.case_id].name:
                    wrong.append(f"{row.case_id}: name {opened['name']}")
        return wrong

    def _told(self) -> Iterator[str]:
        """Nobody is told of what is held, and the last that is told of what is over is its end."""
        silent = self._model.silent()
        for topic in TOLD:
            log = self._world.broker.logs[topic]
            for each in log[self._read[topic] :]:
                self._last[topic, each.key_] = each.value_
                if each.key_.decode() in silent:
                    yield f"{topic} told of {each.key_.decode()}, which is held"
            self._read[topic] = len(log)
        for (topic, key), value in self._last.items():
            if self._model.cases[key.decode()].state != "ended" or topic == "notices":
                continue
            if topic == "cases-care" and value is not None:
                yield f"{key.decode()} is over, and care has it"
            if (
                topic == "mailing-changes"
                and decode("mailing_change", value)["kind"] != "unsubscribed"
            ):
                yield f"{key.decode()} is over, and is mailed"

    def _people(self, connection: Connection) -> Iterator[str]:
        model = self._model
        out = {(r.list, r.subject) for r in connection.execute(select(tables.unsubscribed))}
        if out != {(list_, _subject(email)) for list_, email in model.opted_out}:
            yield f"off lists: {len(out)}, not {sorted(model.opted_out)}"
        suppressed = set(connection.scalars(select(tables.suppressed.c.subject)))
        if suppressed != set(map(_subject, model.suppressed)):
            yield f"suppressed: not {sorted(model.suppressed)}"
        table = tables.holds
        rows = connection.execute(select(table).where(table.c.case_id.is_(None)))
        held = {(row.hold_id, row.subject, row.visitor) for row in rows}
        wanted = {
            each
            for name, (email, cookie) in model.holds.items()
            for each in ((name, _subject(email), None), (name, None, cookie))
            if each[1:] != (None, None)
        }
        if held != wanted:
            yield f"holds: {sorted(name for name, *_ in held)}, not {model.holds}"

    def _visitors(self, connection: Connection) -> Iterator[str]:
        model, world = self._model, self._world
        for cookie, visitor in model.visitors.items():
            standings = consents.standing(connection, SITE, cookie).standings
            decided = {p: each.decision for p, each in standings.items() if p not in RESERVED}
            if decided != visitor.decided:
                yield f"{cookie} decided {decided}, not {visitor.decided}"
            in_force = {p for p in RESERVED if _is_given(standings, p)}
            wanted = {RESTRICTION} if model.is_restricted(cookie) else set()
            wanted |= {ERASURE} if visitor.erased_until else set()
            if in_force != wanted:
                yield f"{cookie}: {in_force} in force, not {wanted}"
        counted = {each.event_id for each in world.memory.counted}
        if counted != model.counted():
            yield f"counted: {sorted(counted ^ model.counted())} wrongly"

    def _read_letters(self) -> None:
        world = self._world
        for each in world.broker.logs["letters"][self._read["letters"] :]:
            letter = decode("letter", each.value_ or b"")
            self._letters[letter["request_id"], letter["kind"]] += 1
        self._read["letters"] = len(world.broker.logs["letters"])

    def _requests(self, connection: Connection) -> Iterator[str]:
        model = self._model
        self._read_letters()
        rows = {each.request_id: each for each in connection.execute(select(tables.requests))}
        open_ = {name for name, row in rows.items() if row.state in {"confirmed", "planned"}}
        wanted = model.letters - ({(name, "answer") for name in open_} - self._letters.keys())
        keys = set(connection.scalars(select(tables.case_keys.c.case_id).distinct()))
        if rows.keys() != model.requests.keys():
            yield f"requests: {rows.keys() ^ model.requests.keys()}"
            return
        table = tables.request_commands
        left = {
            row.request_id: row.act
            for row in connection.execute(
                select(table).where(table.c.done_at.is_(None)).order_by(table.c.number.desc())
            )
        }
        for name, row in rows.items():
            request = model.requests[name]
            if (row.state == "unconfirmed") == request.decided:
                yield f"{name} is {row.state}"
            elif request.decided and bool(row.refused) != request.refused:
                yield f"{name}, {row.right}: refused {row.refused}"
            elif row.state == "closed" and name in keys:
                yield f"{name} is closed, and has its key"
            elif name in open_ and left.get(name) not in Reasons:
                yield f"{name}, {row.right} stands still before {left.get(name)}"
        yield from _answers(connection, rows, model)
        if self._letters.keys() != wanted:
            yield f"letters: {sorted(self._letters.keys() ^ wanted)}"
        if not self.crashed and any(count > 1 for count in self._letters.values()):
            yield f"letters sent twice: {self._letters.most_common(1)}"


def _answers(connection: Connection, rows: Mapping[str, Any], model: Model) -> Iterator[str]:
    """Who has no address fetches one answer, of the lifting if an operator lifted what they asked.

    The token is the same, so that the lifting's is in the place of the restriction's.
    """
    answers = Counter(connection.scalars(select(tables.answers.c.request_id)))
    for name, row in rows.items():
        fetched = model.requests[name].email is None and row.state == "answered"
        least = 1 if fetched and not answers[made_id("lifting", name)] else 0
        if not least <= answers[name] <= 1:
            yield f"{name} has {answers[name]} answers"


def _subject(email: str | None) -> str | None:
    return None if email is None else subject_id(SUBJECT_KEY, email)


def _is_given(standings: Mapping[str, Any], purpose: str) -> bool:
    return purpose in standings and standings[purpose].decision == Decision.GIVEN
