from sinks.ledger import policies
from sinks.ledger.ledger import Ledger
from sinks.ledger.policies import Recorded


def test_a_version_is_kept_the_first_time_and_stays_as_it_was(ledger: Ledger) -> None:
    first = Recorded("2026-11-24", "d1", 100, "# first")
    with ledger.transaction() as connection:
        assert policies.record(connection, first) == first
    with ledger.transaction() as connection:
        assert policies.record(connection, Recorded("2026-11-24", "d2", 200, "# other")) == first
    with ledger.reading() as connection:
        assert policies.history(connection) == [first]


def test_versions_are_listed_by_when_they_came_into_force(ledger: Ledger) -> None:
    new, old = Recorded("a", "d1", 200, "# a"), Recorded("b", "d2", 100, "# b")
    with ledger.transaction() as connection:
        policies.record(connection, new)
        policies.record(connection, old)
        assert policies.history(connection) == [old, new]
