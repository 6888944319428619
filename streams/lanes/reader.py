"""What the lanes between two topics have in common: a consumer, read in batches until the end."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer

from sinks.kafka import poll
from streams.lanes.source import Source


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads up to ``batch`` messages at a time, waiting ``wait`` seconds at most for them.

    ``ready`` waits until what was read may be handled; False when told to stop first.
    """

    consumer: Consumer
    batch: int
    wait: float
    ready: Callable[[threading.Event], bool] = lambda _: True

    def run(self, take: Callable[[Sequence[Source]], None], stop: threading.Event) -> None:
        """Give ``take`` a batch at a time until ``stop``, and let go of the consumer.

        ``take`` commits what it handled; what it raises ends the reading.
        """
        try:
            while not stop.is_set():
                messages = poll(self.consumer, self.batch, self.wait)
                # After reading: what visitors chose before their events came is known then.
                if messages and self.ready(stop):
                    take(messages)
        finally:
            self.consumer.close()
