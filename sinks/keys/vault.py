"""Keys of cases: made with the case, opened for a department, and never made again (S2, S3).

A case is erased when its key is: deleted with the row, and its bytes out of the database's files
(``Ledger.checkpoint``). The rights engine has a key of its own to every case.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from privacy.policy import RIGHTS
from sinks.keys.keks import Keks, unwrap, wrap
from sinks.keys.seal import new_key
from sinks.ledger import keys
from sinks.ledger.ledger import Ledger

AT_ONCE = 1_000


class ErasedError(RuntimeError):
    """Raised for a case that was deleted: it never gets a key again. Undoes the transaction."""


class Vault:
    """Keys in the ledger, wrapped by the departments' own. Safe to share between threads."""

    def __init__(self, keks: Keks) -> None:
        self._keks = keks

    def make(
        self, connection: Connection, case_id: str, departments: Iterable[str], at: int
    ) -> bytes:
        """Return a case's key, made and wrapped for ``departments`` if it has none.

        A retry gets the same one. To be called in the transaction that lets the case in. Raise
        ErasedError, and KeyStoreError when a department has no key to wrap with.
        """
        keys.share(connection)
        mine = self._keks.of(RIGHTS)
        key = new_key()
        others = {each: wrap(self._keks.of(each)[0], key) for each in sorted(set(departments))}
        if not keys.add(connection, case_id, {RIGHTS: wrap(mine[0], key), **others}, at):
            key = unwrap(mine, keys.wrapped_for(connection, RIGHTS, [case_id])[case_id])
        # Afterwards: whoever deletes it at this moment has either taken away what was added here,
        # or is seen.
        if keys.is_deleted(connection, case_id):
            raise ErasedError
        return key

    def open(
        self, connection: Connection, case_ids: Collection[str], department: str
    ) -> dict[str, bytes]:
        """Return the keys of those of about a thousand cases that are wrapped for a department.

        Does not ask whether the policy still lets it read them. Raise KeyStoreError.
        """
        before = self._keks.of(department)
        found = keys.wrapped_for(connection, department, case_ids)
        # Keys may have been rotated on either side of the look at the ledger.
        keks = (*before, *self._keks.of(department)) if found else ()
        return {case_id: unwrap(keks, wrapped) for case_id, wrapped in found.items()}

    def rotate(self, ledger: Ledger, department: str) -> int:
        """Give a department a new key, wrap its cases' keys with that, and return how many.

        Everybody goes on meanwhile; after a crash call it again. The old key is then gone, and
        with it what a copy of the ledger could tell of this department's cases.
        """
        with self._keks.rotating(department) as keks:
            # Whoever wraps with an old one has begun to; whoever begins now has the new one.
            with ledger.transaction() as connection:
                keys.stand_alone(connection)
            rewrapped, last = 0, ""
            while True:
                with ledger.transaction() as connection:
                    found = keys.after(connection, department, last, AT_ONCE)
                    if not found:
                        break
                    anew = {case: wrap(keks[0], unwrap(keks, each)) for case, each in found}
                    keys.rewrap(connection, department, anew)
                rewrapped, last = rewrapped + len(found), found[-1][0]
            ledger.checkpoint()
        return rewrapped
