"""The deliver lane of one provider: its topic in, requests out, offsets when all is settled."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from confluent_kafka import Consumer, TopicPartition

from privacy.ads import AdEvent
from privacy.outcome import Reject
from sinks.ads.contract import Connector
from sinks.kafka import BatchProducer, commit, poll
from sinks.ledger.ledger import LedgerError
from streams.delivery.book import Book, Consents, Entry
from streams.delivery.circuit import AT_ONCE
from streams.delivery.clocks import Clocks
from streams.delivery.dispatch import Dispatcher
from streams.delivery.http import Http, connect
from streams.delivery.parcels import Item
from streams.delivery.polls import Polls
from streams.egress import Egress
from streams.lanes.readable import read
from streams.lanes.rejects import dead_letter
from streams.lanes.source import Source

WAIT_SECONDS = 0.1
POLL_SECONDS = 2.0  # between two looks at what a provider still judges
STAY_SECONDS = 1.0  # between two words to the group while events are delivered
MOST = 10_000  # events in hand
REMOVAL_SECONDS = 10.0  # for removals, while events wait
REMOVE_AGAIN_SECONDS = 60.0  # from removals that failed to the next try

_log = structlog.get_logger()


class DeliverLane:
    """Delivers one provider's events until told to stop. One thread, one consumer."""

    def __init__(
        self,
        connector: Connector,
        purpose: str,
        topic: str,
        dead_letters: str,
        *,
        consumer: Consumer,
        producer: BatchProducer,
        consents: Consents,
        book: Book,
        clocks: Clocks,
        patience_ms: int,
        lease: float,
        egress: Egress,
    ) -> None:
        """Give an event up after ``patience_ms``; ``lease`` in seconds."""
        self.name = f"deliver-{connector.name}"
        self._connector = connector
        self._purpose = purpose
        self._topic = topic
        self._dead_letters = dead_letters
        self._consumer = consumer
        self._producer = producer
        self._consents = consents
        self._book = book
        self._clocks = clocks
        self._patience = patience_ms
        self._lease = lease
        self._egress = egress
        self._assigned: tuple[int, ...] = ()
        self._lost = False
        self._remove_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; what is not settled then is delivered again."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke
        )
        try:
            asyncio.run(self._run(stop.is_set))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            self._consumer.close()

    async def _run(self, stopped: Callable[[], bool]) -> None:
        async with connect(AT_ONCE, self._egress, self._clocks.boottime) as http:
            dispatcher = Dispatcher(
                self._connector,
                self._purpose,
                self._consents,
                self._book,
                http,
                clocks=self._clocks,
                partitions=lambda: self._assigned,
                letter=self._letter,
                patience_ms=self._patience,
                lease=self._lease,
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(dispatcher.keep(stopped))
                tasks.create_task(self._ask(http, stopped))
                tasks.create_task(self._read(dispatcher, stopped))

    async def _read(self, dispatcher: Dispatcher, stopped: Callable[[], bool]) -> None:
        most = min(MOST, self._connector.limits.events * AT_ONCE)
        while not stopped():
            read = await asyncio.to_thread(poll, self._consumer, most, WAIT_SECONDS)
            self._lost = False
            # Of partitions that went away while they were read, others deliver what was read.
            messages = [each for each in read if each.partition() in self._assigned]
            await self._remove(dispatcher, most, stopped)
            if not messages or self._lost:
                continue
            items = [item for message in messages if (item := self._item(message)) is not None]
            if await self._deliver(dispatcher, items, stopped):
                await asyncio.to_thread(self._producer.stored)
                await asyncio.to_thread(commit, self._consumer, messages)

    async def _remove(self, dispatcher: Dispatcher, most: int, stopped: Callable[[], bool]) -> None:
        """Remove what is due, before anything that a new consent brought is sent.

        What the provider does not take in time is due again later, so that events go on meanwhile.
        """
        now = self._clocks.boottime()
        if now < self._remove_at:
            return
        try:
            due = await asyncio.to_thread(self._book.due, self._assigned, most)
        except LedgerError:
            return  # the dispatcher says so
        until = now + REMOVAL_SECONDS
        items = [Item(each) for each in due]
        if items and not await self._deliver(
            dispatcher, items, lambda: stopped() or self._clocks.boottime() > until
        ):
            _log.warning("ads_removals_wait", provider=self._connector.name, count=len(items))
            self._remove_at = self._clocks.boottime() + REMOVE_AGAIN_SECONDS

    async def _deliver(
        self, dispatcher: Dispatcher, items: Sequence[Item], stopped: Callable[[], bool]
    ) -> bool:
        """Deliver, with the consumer's partitions paused so that it stays in its group."""
        over = asyncio.Event()
        staying = asyncio.create_task(self._stay(over))
        try:
            return await dispatcher.deliver(
                items, lambda: stopped() or self._lost or staying.done()
            )
        finally:
            over.set()
            await staying

    async def _stay(self, over: asyncio.Event) -> None:
        """Stay in the group, and read nothing, also of partitions that come meanwhile."""
        paused: list[TopicPartition] = []
        while not over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(STAY_SECONDS):
                    await over.wait()
            if not over.is_set():
                paused = self._consumer.assignment()
                self._consumer.pause(paused)
                read = await asyncio.to_thread(self._consumer.poll, 0)
                if read is not None and read.error() is None:
                    place = TopicPartition(read.topic(), read.partition(), read.offset())
                    self._consumer.seek(place)
        ours = {(each.topic, each.partition) for each in self._consumer.assignment()}
        self._consumer.resume([e for e in paused if (e.topic, e.partition) in ours])

    async def _ask(self, http: Http, stopped: Callable[[], bool]) -> None:
        """Ask what became of requests that were taken and are judged later."""
        polls = Polls(self._connector, self._book, self._clocks)
        while not stopped():
            with suppress(LedgerError):
                tickets = await asyncio.to_thread(self._book.tickets, self._assigned)
                for ticket in polls.due(tickets):
                    await polls.ask(http, ticket)
            for _ in range(int(POLL_SECONDS / WAIT_SECONDS)):
                if stopped():
                    return
                await asyncio.sleep(WAIT_SECONDS)

    def _item(self, message: Source) -> Item | None:
        event = read_event(message.value())
        if isinstance(event, Reject):
            self._letter(message, event)
            return None
        return Item(Entry(event, message.partition()), message, message.timestamp()[1])

    def _letter(self, source: Source, reject: Reject) -> None:
        letter = dead_letter(source, reject, self.name, self._clocks.now())
        self._producer.send(self._dead_letters, [letter])

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # One that was paused when it went away comes back paused, and nobody would read it.
        consumer.resume(partitions)
        self._assigned = tuple({*self._assigned, *(each.partition for each in partitions)})

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._lost = True
        gone = {each.partition for each in partitions}
        self._assigned = tuple(each for each in self._assigned if each not in gone)


def read_event(value: bytes | None) -> AdEvent | Reject:
    """Return what a provider's topic carries; Reject when it cannot be read."""
    event = read("ad_event", value, "decode")
    if isinstance(event, Reject):
        return event
    return AdEvent(
        event_id=event["event_id"],
        site=event["site"],
        visitor=event["cookie_id"],
        occurred_at=int(event["occurred_at"].timestamp() * 1000),
        epoch=event["consent_epoch"],
        page=event["page"],
        conversion=event["conversion"],
        audience=event["audience"],
        member=event["member"],
        ids=event["ids"],
        user_agent=event["user_agent"],
    )
