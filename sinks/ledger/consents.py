"""What visitors decided, and the proof of it (Art. 7(1) GDPR; S15, S23)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    insert,
    select,
    tuple_,
    update,
)

from privacy import consent as rules
from privacy.consent import (
    NOTHING,
    RESERVED,
    Change,
    Consent,
    Decision,
    Standing,
    apply,
    epoch_of,
)
from sinks.ledger import upsert
from sinks.ledger.tables import consent_changes, consents, withdrawals

Visitor = tuple[str, str]  # site and cookie id

_AT_ONCE = 1_000  # visitors in a statement
_STATE = (consents.c.epoch, consents.c.standings, consents.c.spent)


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """One change with what proves it. ``visitor`` is the cookie id.

    Times in milliseconds since 1970: ``occurred_at`` by the sender's clock, ``recorded_at`` by the
    broker's. ``effective_at``, of a withdrawal of ads alone: from then on nothing more left.
    """

    site: str
    visitor: str = field(repr=False)
    offset: int
    partition: int
    id: str
    purpose: str
    decision: Decision
    notice_id: str | None
    notice_version: str | None
    language: str | None
    how: str
    occurred_at: int
    recorded_at: int
    effective_at: int | None = None

    @property
    def epoch(self) -> int:
        """Return the epoch that begins with it."""
        return epoch_of(self.offset)


def record(
    connection: Connection, changes: Sequence[ConsentChange], *, ads: Collection[str]
) -> list[Consent]:
    """Apply ``changes`` in order, keep them as proof, and return what each left in force.

    ``ads`` are the purposes that cover ads: a change that takes a given one of them away is also a
    withdrawal to be settled, and so is a right that begins or ends (``RESERVED``). A change
    recorded before changes nothing, nor does the retry of a consent that is over; a retry is kept
    as proof only if it decided something.
    """
    held = locked(connection, {(each.site, each.visitor) for each in changes})
    touched: set[Visitor] = set()
    left: list[Consent] = []
    proof: list[ConsentChange] = []
    taken: list[ConsentChange] = []
    for change in changes:
        visitor = (change.site, change.visitor)
        before = held[visitor]
        after = apply(before, Change(change.id, change.purpose, change.decision, change.epoch))
        left.append(after)
        if after is before:
            continue
        held[visitor] = after
        touched.add(visitor)
        decided = after.standings != before.standings
        if decided or not _is_known(connection, change, proof):
            proof.append(change)
        ended = change.purpose in ads and _is_given(before, change.purpose)
        if decided and (ended or change.purpose in RESERVED):
            taken.append(change)
    _put(connection, {visitor: held[visitor] for visitor in touched})
    if proof:
        rows = [asdict(each) for each in proof]
        for row in rows:
            del row["effective_at"]
        connection.execute(insert(consent_changes), rows)
    if taken:
        connection.execute(  # also one whose visitor is forgotten is settled once
            upsert.insert(connection, withdrawals).on_conflict_do_nothing(),
            [
                {
                    "partition": each.partition,
                    "offset": each.offset,
                    "recorded_at": each.recorded_at,
                    "site": each.site,
                    "visitor": each.visitor,
                    "purpose": each.purpose,
                }
                for each in taken
            ],
        )
    return left


def deny(
    connection: Connection,
    site: str,
    visitor: str,
    *,
    partition: int,
    offset: int,
    recorded_at: int,
    purposes: Collection[str],
) -> Consent:
    """Take a change in that cannot be read, as a no to all ``purposes``, and return the rest.

    It proves nothing, so that it is not among the changes; it is a withdrawal to be settled.
    """
    before = locked(connection, {(site, visitor)})[site, visitor]
    after = rules.deny(before, purposes, epoch_of(offset))
    if after is not before:
        _put(connection, {(site, visitor): after})
        connection.execute(
            upsert.insert(connection, withdrawals)
            .values(
                partition=partition,
                offset=offset,
                recorded_at=recorded_at,
                site=site,
                visitor=visitor,
            )
            .on_conflict_do_nothing()
        )
    return after


def standing(connection: Connection, site: str, visitor: str) -> Consent:
    """Return all that a visitor of a site decided; ``NOTHING`` for one who was never asked."""
    found = connection.execute(
        select(*_STATE).where(consents.c.site == site, consents.c.visitor == visitor)
    ).first()
    return NOTHING if found is None else _consent(found)


def history(connection: Connection, site: str, visitor: str) -> list[ConsentChange]:
    """Return a visitor's changes, the oldest first."""
    return list(_changes(connection, _HISTORY.where(*_of(site, visitor))))


def export(connection: Connection, site: str) -> Iterator[ConsentChange]:
    """Yield the changes of all visitors of a site, each visitor's together and the oldest first."""
    everyone = _HISTORY.where(consent_changes.c.site == site)
    return _changes(connection, everyone.execution_options(yield_per=1_000))


def forget(connection: Connection, site: str, visitor: str) -> None:
    """Delete all that is known of a visitor of a site (S20).

    To be called when their withdrawals are effective: what they sent for removal names nobody then.
    """
    for table in (consents, consent_changes):
        connection.execute(delete(table).where(table.c.site == site, table.c.visitor == visitor))
    mine = withdrawals.c.site == site, withdrawals.c.visitor == visitor
    connection.execute(update(withdrawals).where(*mine).values(visitor=None))


def forget_proof(connection: Connection, site: str, visitor: str) -> None:
    """Delete the proof of what a visitor of a site decided; what is in force stays (S20)."""
    mine = consent_changes.c.site == site, consent_changes.c.visitor == visitor
    connection.execute(delete(consent_changes).where(*mine))


_HISTORY = (
    select(consent_changes, withdrawals.c.effective_at)
    .outerjoin(
        withdrawals,
        and_(
            withdrawals.c.partition == consent_changes.c.partition,
            withdrawals.c.offset == consent_changes.c.offset,
        ),
    )
    .order_by(consent_changes.c.visitor, consent_changes.c.offset)
)


def _changes(connection: Connection, query: Select[Any]) -> Iterator[ConsentChange]:
    for row in connection.execute(query).mappings():
        yield ConsentChange(**{**row, "decision": Decision(row["decision"])})


def locked(connection: Connection, visitors: Collection[Visitor]) -> dict[Visitor, Consent]:
    """Return what is in force, and let others who would change it wait for our end.

    Also visitors who are not known yet, of whom ``NOTHING`` is.
    """
    ordered = sorted(visitors)  # in one order for everybody
    if not ordered:
        return {}
    new = upsert.insert(connection, consents).on_conflict_do_nothing()
    connection.execute(
        new,
        [
            {"site": site, "visitor": visitor, "epoch": 0, "standings": {}, "spent": []}
            for site, visitor in ordered
        ],
    )
    held = {}
    for start in range(0, len(ordered), _AT_ONCE):
        some = tuple_(consents.c.site, consents.c.visitor).in_(ordered[start : start + _AT_ONCE])
        query = select(consents).where(some).order_by(consents.c.site, consents.c.visitor)
        for row in connection.execute(query.with_for_update()):
            held[row.site, row.visitor] = _consent(row)
    return held


def _put(connection: Connection, states: Mapping[Visitor, Consent]) -> None:
    if states:
        connection.execute(
            update(consents)
            .where(consents.c.site == bindparam("_site"), consents.c.visitor == bindparam("_who"))
            .values(
                epoch=bindparam("epoch"),
                standings=bindparam("standings"),
                spent=bindparam("spent"),
            ),
            [
                {
                    "_site": site,
                    "_who": visitor,
                    "epoch": consent.epoch,
                    "standings": {name: asdict(each) for name, each in consent.standings.items()},
                    "spent": sorted(consent.spent),
                }
                for (site, visitor), consent in states.items()
            ],
        )


def _is_known(
    connection: Connection, change: ConsentChange, proof: Sequence[ConsentChange]
) -> bool:
    what = (change.site, change.visitor, change.id, change.purpose)
    if any((each.site, each.visitor, each.id, each.purpose) == what for each in proof):
        return True
    same = select(consent_changes.c.id).where(
        *_of(change.site, change.visitor),
        consent_changes.c.id == change.id,
        consent_changes.c.purpose == change.purpose,
    )
    return connection.execute(same.limit(1)).first() is not None


def _of(site: str, visitor: str) -> tuple[Any, Any]:
    return consent_changes.c.site == site, consent_changes.c.visitor == visitor


def _is_given(consent: Consent, purpose: str) -> bool:
    in_force = consent.standings.get(purpose)
    return in_force is not None and in_force.decision == Decision.GIVEN


def _consent(row: Row[Any, Any, Any]) -> Consent:
    standings = {
        purpose: Standing(Decision(each["decision"]), each["since"], each["change"])
        for purpose, each in row.standings.items()
    }
    return Consent(row.epoch, standings, frozenset(row.spent))
