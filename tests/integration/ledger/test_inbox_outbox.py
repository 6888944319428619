from contextlib import suppress

from sinks.ledger.inbox import Position, first
from sinks.ledger.ledger import Ledger
from sinks.ledger.outbox import Message, Pending, pending, put, put_behind, sent

STATE = Message("consent-state", b"shop|v-1", b"\x00\xff state")
TOMBSTONE = Message("consent-state", b"shop|v-2", None)
AT = Position("consent-changes", 2, 10)


def handle(ledger: Ledger, position: Position, *messages: Message, reader: str = "c") -> bool:
    """Do what an agent does with one message."""
    with ledger.transaction() as connection:
        if not first(connection, reader, [position])[0]:
            return False
        put(connection, reader, position, messages)
        return True


def waiting(ledger: Ledger, partition: int = 2, limit: int = 100) -> list[Pending]:
    with ledger.reading() as connection:
        return pending(connection, "c", AT.topic, partition, limit)


def test_a_message_delivered_again_changes_nothing(ledger: Ledger) -> None:
    assert handle(ledger, AT, STATE)
    assert not handle(ledger, AT, STATE, TOMBSTONE)
    assert not handle(ledger, AT._replace(offset=9), STATE)
    assert [each.message for each in waiting(ledger)] == [STATE]
    assert handle(ledger, AT._replace(offset=11), TOMBSTONE)


def test_readers_topics_and_partitions_have_positions_of_their_own(ledger: Ledger) -> None:
    assert handle(ledger, AT)
    assert handle(ledger, AT, reader="another")
    assert handle(ledger, AT._replace(topic="service-events"))
    assert handle(ledger, AT._replace(partition=3))


def test_what_was_not_marked_sent_is_sent_again_under_the_same_id(ledger: Ledger) -> None:
    handle(ledger, AT, STATE, TOMBSTONE)
    before = waiting(ledger)
    assert [each.id for each in before] == ["c/consent-changes/2/10/0", "c/consent-changes/2/10/1"]
    assert [each.message for each in before] == [STATE, TOMBSTONE]
    handle(ledger, AT, STATE, TOMBSTONE)
    assert waiting(ledger) == before


def test_messages_of_a_partition_come_in_the_order_of_their_inputs(ledger: Ledger) -> None:
    for offset in (2, 10, 101):
        handle(ledger, AT._replace(offset=offset), STATE, TOMBSTONE)
    handle(ledger, AT._replace(partition=1), STATE)
    found = [(each.source.offset, each.number) for each in waiting(ledger)]
    assert found == [(2, 0), (2, 1), (10, 0), (10, 1), (101, 0), (101, 1)]
    assert [each.source.offset for each in waiting(ledger, limit=3)] == [2, 2, 10]


def test_what_was_sent_is_gone_and_the_rest_waits(ledger: Ledger) -> None:
    handle(ledger, AT, STATE, TOMBSTONE)
    handle(ledger, AT._replace(partition=1), STATE)
    with ledger.transaction() as connection:
        sent(connection, waiting(ledger)[:1])
        sent(connection, [])
    assert [each.message for each in waiting(ledger)] == [TOMBSTONE]
    assert len(waiting(ledger, partition=1)) == 1


def test_an_effect_that_fails_leaves_no_message_and_no_position(ledger: Ledger) -> None:
    with suppress(ZeroDivisionError), ledger.transaction() as connection:
        first(connection, "c", [AT])
        put(connection, "c", AT, [STATE])
        raise ZeroDivisionError
    assert not waiting(ledger)
    assert handle(ledger, AT, STATE)


def test_nobody_s_key_shows(ledger: Ledger) -> None:
    handle(ledger, AT, STATE)
    assert "v-1" not in repr(waiting(ledger))


def test_who_sends_what_another_has_sent_is_told(ledger: Ledger) -> None:
    handle(ledger, AT, STATE, TOMBSTONE, STATE)
    before = waiting(ledger)
    with ledger.transaction() as connection:
        assert sent(connection, before[:1])
        assert not sent(connection, before)
        assert sent(connection, [])
    assert waiting(ledger) == []


def test_what_is_put_behind_comes_before_what_comes_of_later_messages(ledger: Ledger) -> None:
    handle(ledger, AT, STATE)
    for again in (TOMBSTONE, STATE):
        with ledger.transaction() as connection:
            put_behind(connection, "c", AT.topic, AT.partition, [again])
    handle(ledger, AT._replace(offset=11), TOMBSTONE)
    assert [each.message for each in waiting(ledger)] == [STATE, TOMBSTONE, STATE, TOMBSTONE]
