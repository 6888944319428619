"""Where the readers of topics are, and how to put them somewhere else."""

import time
from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from sinks.kafka import consumer, partitions, poll

Place = tuple[str, int]
"""A topic, and one of its partitions."""

_SECONDS = 10.0
_AGAIN_SECONDS = 0.2
_AT_ONCE = 10_000
_NOT_YET = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


class Places:
    """Looks at and moves consumer groups. Every method may raise KafkaException.

    ``group`` is one that the client may name and that nobody commits in: what only reads names it.
    """

    def __init__(self, bootstrap: str, options: Mapping[str, str], group: str) -> None:
        self._bootstrap = bootstrap
        self._options = options
        self._group = group

    def ends(self, topics: Sequence[str]) -> dict[Place, tuple[int, int]]:
        """Return the first offset that is kept and the one that comes next, of each partition."""
        client = self._client(self._group)
        try:
            return {
                place: client.get_watermark_offsets(TopicPartition(*place), timeout=_SECONDS)
                for place in _partitions(client, topics)
            }
        finally:
            client.close()

    def committed(self, group: str, topics: Sequence[str]) -> dict[Place, int]:
        """Return what a group reads next, of each partition where it has committed anything."""
        client = self._client(group)
        try:
            asked = [TopicPartition(*place) for place in _partitions(client, topics)]
            found = client.committed(asked, timeout=_SECONDS) if asked else []
        finally:
            client.close()
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def move(self, group: str, to: Mapping[Place, int]) -> None:
        """Have a group read on from other offsets. The broker refuses while somebody is in it."""
        client = self._client(group)
        try:
            offsets = [TopicPartition(*place, offset) for place, offset in to.items()]
            if offsets:
                client.commit(offsets=offsets, asynchronous=False)
        finally:
            client.close()

    def manned(self, groups: Sequence[str]) -> list[str]:
        """Return those of ``groups`` that somebody reads in at this moment.

        A broker that has just started is given a while to know.
        """
        admin = AdminClient({"bootstrap.servers": self._bootstrap, **self._options})
        until = time.monotonic() + _SECONDS
        while True:
            asked = admin.describe_consumer_groups(list(groups), request_timeout=_SECONDS)
            try:
                return [name for name, found in asked.items() if found.result(_SECONDS).members]
            except KafkaException as error:
                if error.args[0].code() not in _NOT_YET or time.monotonic() > until:
                    raise
            time.sleep(_AGAIN_SECONDS)

    def read(self, place: Place, since: int, until: int) -> Iterator[Message]:
        """Yield what lies in a partition from one offset up to another."""
        if since >= until:
            return
        client = self._client(self._group)
        try:
            client.assign([TopicPartition(*place, since)])
            while since < until:
                for message in poll(client, _AT_ONCE, 0.1):
                    if message.offset() < until:
                        yield message
                # Also past what was compacted, or belongs to a transaction.
                (position,) = client.position([TopicPartition(*place)])
                since = max(since, position.offset)
        finally:
            client.close()

    def kept(self, topic: str, since: Mapping[int, int] | None = None) -> Iterator[Message]:
        """Yield all that is kept on a topic now; ``since``: by partition, from an offset on."""
        for place, (low, high) in self.ends([topic]).items():
            yield from self.read(place, max((since or {}).get(place[1], 0), low), high)

    def _client(self, group: str) -> Consumer:
        return consumer(self._bootstrap, group, self._options)


def _partitions(client: Consumer, topics: Sequence[str]) -> Iterator[Place]:
    for topic in topics:
        yield from ((topic, each) for each in partitions(client, topic, _SECONDS))


def answers(bootstrap: str, options: Mapping[str, str], seconds: float = 2.0) -> bool:
    """Tell whether a broker answers within ``seconds``."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **options})
    try:
        return bool(admin.list_topics(timeout=seconds).brokers)
    except KafkaException:
        return False
