"""Everything is read again from the first offset, as after a slip of somebody's hand."""

import time
from contextlib import ExitStack
from random import Random

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from sqlalchemy import func, select

from sinks.ledger import tables
from streams.status import readers
from tests.chaos.faults import Fault, kill, paused
from tests.chaos.stack import SESSION_SECONDS, Stack, wait


def all_is_read_again(stack: Stack, _: Random) -> str:
    """Put every reader back to the beginning, when something was deleted already."""
    wait(lambda: _deletions(stack), "a deletion to be certified")
    kafka = stack.settings.kafka
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, **kafka.options})
    with ExitStack() as stopped:
        for each in stack.workers:
            stopped.enter_context(paused(each))
        time.sleep(SESSION_SECONDS)  # until the broker takes them for gone
        again = sum(_put_back(stack, admin, reader) for reader in _groups(stack))
        for each in stack.workers:
            kill(each)
    stack.flow()
    return f"{again} messages read again"


def _groups(stack: Stack) -> list[str]:
    return sorted({reader for reader, _ in readers(stack.company.policy.holders)} | {"lethe"})


def _put_back(stack: Stack, admin: AdminClient, reader: str) -> int:
    """Let a group begin anew; return how many messages that are there still it has read before."""
    group = stack.settings.kafka.prefix + reader
    (found,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    places = [each for each in found.result(30).topic_partitions or [] if each.offset > 0]
    if not places:
        return 0
    firsts = [TopicPartition(each.topic, each.partition, 0) for each in places]
    new = ConsumerGroupTopicPartitions(group, firsts)

    def is_put_back() -> bool:
        (done,) = admin.alter_consumer_group_offsets([new]).values()
        try:
            done.result(30)
        except Exception:  # noqa: BLE001 - somebody is in the group still
            return False
        return True

    wait(is_put_back, f"{group} to be left by all")
    return sum(each.offset for each in places)


def _deletions(stack: Stack) -> bool:
    done = select(func.count()).where(tables.deletions.c.completed_at.is_not(None))
    with stack.ledger.reading() as connection:
        return bool(connection.scalar(done))


FAULTS = (Fault("everything read again", all_is_read_again, ci=1, nightly=5),)
