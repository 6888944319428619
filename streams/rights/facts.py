"""What requests ask for about visitors' facts, done for many at once (S20, S21).

A change of consent goes before: whatever is counted after it lacks the visitor. What was on its way
to ClickHouse then is looked for again and again, and so are events that load late.
"""

import threading
from collections.abc import Callable, Collection, Sequence

import structlog

from sinks.clickhouse.client import ClickHouseDownError
from sinks.clickhouse.visitors import ClickHouseFacts, Hashed, VisitorFacts, hashes
from sinks.ledger import visitor_facts
from sinks.ledger.ledger import Ledger
from sinks.ledger.visitor_facts import FactsAct, VisitorAct
from sinks.salts import Salts, SaltsUnavailableError
from streams.shared import Shared, now
from streams.turns import take_turns

AT_ONCE = 1_000
SETTLE_MS = 2_000  # for lanes in the middle of a batch to have published it
AGAIN_MS = 20_000  # between looks for what arrived late
LINGER_MS = 900_000  # for as long as that is looked for: a quarter of an hour
IDLE_SECONDS = 0.5

_log = structlog.get_logger()


class FactsLoop:
    """Does what the ledger says is to be done. One thread; one for a ledger is enough."""

    def __init__(
        self, ledger: Ledger, facts: VisitorFacts, salts: Salts, clock: Callable[[], int]
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        self._ledger = ledger
        self._facts = facts
        self._salts = salts
        self._clock = clock
        # Deleted, and waiting for the last byte to go: when that was, by the store's clock.
        self._deleted: dict[tuple[str, int], tuple[VisitorAct, int]] = {}
        self._again_at = 0
        self._to_scrub = False

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while ledger, ClickHouse or salts are away, wait for them."""
        take_turns(self._turn, stop, IDLE_SECONDS)

    def turn(self) -> bool:
        """Take what is to be done, and tell whether there was anything new.

        Raise ClickHouseDownError, SaltsUnavailableError, LedgerError: it is done later then.
        """
        at = self._clock()
        with self._ledger.reading() as connection:
            found = visitor_facts.to_do(connection, at - SETTLE_MS, AT_ONCE + len(self._deleted))
        new = [each for each in found if _name(each) not in self._deleted]
        done = self._do(new) if new else []
        done += self._gone()
        if done:
            with self._ledger.transaction() as connection:
                visitor_facts.done(connection, done, at)
        if at >= self._again_at:
            self._again_at = at + AGAIN_MS
            self._look_again(at)
        if self._to_scrub:  # one that is blocked is tried again
            self._to_scrub = not self._ledger.checkpoint()
        return bool(new)

    def _turn(self) -> bool:
        try:
            return self.turn()
        except ClickHouseDownError:
            _log.warning("clickhouse_down")
        except SaltsUnavailableError:
            _log.warning("salts_unavailable")
        return False

    def _do(self, acts: Sequence[VisitorAct]) -> list[VisitorAct]:
        """Do acts; return those that are done. What is deleted is so when no byte is left."""
        by_act = {kind: [each for each in acts if each.act is kind] for kind in FactsAct}
        if erase := by_act[FactsAct.ERASE]:
            self._note(erase, self._facts.erase(self._who(erase)))
        if discard := by_act[FactsAct.DISCARD]:
            self._note(discard, self._facts.discard([each.request_id for each in discard]))
        for each in by_act[FactsAct.HOLD]:
            self._facts.hold(each.request_id, self._who([each]))
        self._facts.release([each.request_id for each in by_act[FactsAct.RELEASE]])
        return by_act[FactsAct.HOLD] + by_act[FactsAct.RELEASE]

    def _look_again(self, at: int) -> None:
        """Do once more what was done lately, for what was loaded since; then forget for whom."""
        with self._ledger.reading() as connection:
            lately = visitor_facts.all_done(connection)
        if lately:
            self._facts.erase(self._who([e for e in lately if e.act is FactsAct.ERASE]))
            for each in lately:
                if each.act is FactsAct.HOLD:
                    self._facts.hold(each.request_id, self._who([each]))
            with self._ledger.transaction() as connection:
                self._to_scrub |= visitor_facts.forget(connection, at - LINGER_MS)

    def _note(self, acts: Collection[VisitorAct], at: int) -> None:
        self._deleted |= {_name(each): (each, at) for each in acts}

    def _gone(self) -> list[VisitorAct]:
        """Return what was deleted and of which no byte is left."""
        done: list[VisitorAct] = []
        for at in sorted({at for _, at in self._deleted.values()}):
            if not self._facts.gone(at):
                break
            done += [each for each, deleted_at in self._deleted.values() if deleted_at == at]
        for each in done:
            del self._deleted[_name(each)]
        return done

    def _who(self, acts: Collection[VisitorAct]) -> set[Hashed]:
        salts = self._salts.kept()
        return {
            name
            for each in acts
            if each.visitor is not None
            for name in hashes(each.site, each.visitor, salts)
        }


def run(shared: Shared, stop: threading.Event) -> None:
    """Do what requests ask for about visitors' facts."""
    facts = ClickHouseFacts(shared.clickhouse("eraser"))
    FactsLoop(shared.ledger, facts, Salts.under(shared.settings.data_dir), now).run(stop)


def _name(act: VisitorAct) -> tuple[str, int]:
    return act.request_id, act.number
