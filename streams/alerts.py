"""What an operator must look at, on ``pipeline-alerts``: each once a day (UTC)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid5

from schemas.codec import encode
from sinks.kafka import BatchProducer

ALERTS = "pipeline-alerts"
NAMESPACE = UUID("c1d5b0a7-3e0a-4f1c-9d9e-5a4b6f0c2d18")


@dataclass(frozen=True, slots=True)
class Alert:
    """``count`` things of a ``kind`` at ``subject``, which is no person, and what mends it."""

    kind: str
    subject: str
    count: int
    remedy: str


class Alerts:
    """Tells the topic. One thread."""

    def __init__(self, topic: str, producer: BatchProducer) -> None:
        self._topic = topic
        self._producer = producer
        self._told: set[str] = set()

    def tell(self, alerts: Sequence[Alert], at: int) -> bool:
        """Send those that were not told today, and tell whether there were any.

        ``at`` in milliseconds since 1970. Raise NotStoredError.
        """
        day = datetime.fromtimestamp(at / 1000, UTC).date()
        ids = {str(uuid5(NAMESPACE, f"{each.kind}|{each.subject}|{day}")): each for each in alerts}
        new = {id_: each for id_, each in ids.items() if id_ not in self._told}
        if new:
            keys = [f"{each.kind}|{each.subject}".encode() for each in new.values()]
            values = [
                encode("pipeline_alert", {"id": id_, "at": at, **asdict(each)})
                for id_, each in new.items()
            ]
            self._producer.send(self._topic, values, keys)
            self._producer.stored()
        self._told |= new.keys()
        return bool(new)
