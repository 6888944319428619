"""The bulk entrance (S8, S9): lines of a file, checked, shortened, hashed and published in batches.

The way of each is that of the collector and the SDK: ``privacy.tracking``.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from lethe.lines import UNREADABLE
from lethe.tally import Tally
from privacy.contract import Problem
from privacy.pseudonym import Salt
from privacy.tracking import enter, key, problems
from schemas.codec import encode
from sinks.publish import KafkaPublisher, Message, Publisher, Stored
from sinks.salts import Salts
from streams import kafka_login
from streams.accesses import Accesses, Answered
from streams.settings import Settings, SettingsError

TOPIC = "tracking-events"
BATCH = 1_000  # lines
WINDOW = 16  # batches that may wait for the broker


class Candidate(NamedTuple):
    """One line of the input: an event to be checked, or why it could not be read.

    ``answered`` is what a web server's log tells besides, also of what is no event.
    """

    line: int
    event: Any
    event_id: str = ""
    user_agent: str | None = None
    answered: Answered | None = None


def in_batches(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """Yield lists of at most ``BATCH``; what came before an input's damage too, then raise."""
    batch: list[Candidate] = []
    try:
        for candidate in candidates:
            batch.append(candidate)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except UNREADABLE:
        yield batch
        raise
    if batch:
        yield batch


class Intake:
    """Publishes one site's events to ``topic``, in order, and counts in ``tally``.

    ``clock`` gives milliseconds since 1970; ``salt``, the day's, is asked for once a batch. With
    ``accesses`` also what was answered is told, to who looks for attacks (S8): whatever becomes of
    the event, since who attacks asks for what no event may hold.
    """

    def __init__(
        self,
        publisher: Publisher,
        topic: str,
        site: str,
        tally: Tally,
        *,
        salt: Callable[[], Salt],
        clock: Callable[[], int],
        accesses: Accesses | None = None,
    ) -> None:
        self._publisher = publisher
        self._topic = topic
        self._site = site
        self._tally = tally
        self._salt = salt
        self._clock = clock
        self._accesses = accesses
        self._waiting: deque[tuple[Sequence[Stored], int, Callable[[], None]]] = deque()

    def take(self, batch: Iterable[Candidate], then: Callable[[], None] = lambda: None) -> None:
        """Publish a batch; call ``then`` once it and all before it are stored.

        Raises NotStoredError when a batch cannot be stored; ``then`` of it and of those after it
        is not called.
        """
        now, salt = self._clock(), self._salt()
        messages, told = [], []
        for candidate in batch:
            event = candidate.event
            found = [event] if isinstance(event, Problem) else problems(event, now)
            if found:
                self._tally.refuse(candidate.line, found)
            else:
                messages.append(self._message(candidate, now, salt))
            if self._accesses is not None and candidate.answered is not None:
                told.append(
                    self._accesses.message(
                        candidate.event_id, candidate.answered, site=self._site, now=now
                    )
                )
        stored = [self._publisher.send(self._topic, messages)]
        if self._accesses is not None and told:
            stored.append(self._publisher.send(self._accesses.topic, told))
        self._waiting.append((stored, len(messages), then))
        while len(self._waiting) > WINDOW or (self._waiting and self._is_stored()):
            self._settle_one()

    def take_all(self, candidates: Iterable[Candidate], advance: Callable[[], None]) -> None:
        """Publish all, calling ``advance`` now and then, and wait until it is stored."""
        for batch in in_batches(candidates):
            self.take(batch)
            advance()
        self.settle()
        advance()

    def settle(self) -> None:
        """Wait until everything taken is stored; raise NotStoredError when it is not."""
        while self._waiting:
            self._settle_one()

    def _message(self, candidate: Candidate, now: int, salt: Salt) -> Message:
        record = enter(
            candidate.event,
            site=self._site,
            address=None,
            user_agent=candidate.user_agent,
            received_at=now,
            event_id=candidate.event_id,
            salt=salt,
        )
        return Message(key(record), encode("tracking_event", record))

    def _is_stored(self) -> bool:
        return all(each.done() for each in self._waiting[0][0])

    def _settle_one(self) -> None:
        stored, count, then = self._waiting[0]
        for each in stored:
            each.result()
        self._waiting.popleft()
        self._tally.published += count
        then()


@contextmanager
def opened(
    settings: Settings, site: str, tally: Tally, *, endless: bool, of_a_log: bool = False
) -> Iterator[Intake]:
    """Connect an intake to the broker and key store of the settings.

    What is ``of_a_log`` of a web server is told to who looks for attacks, too.

    All of an input gets the salt of the day on which its reading began, so that midnight does not
    double its visitors; ``endless`` input gets each day's, since yesterday's must be destroyed.

    Ctrl-C is the end of endless input; either way what was taken is stored before it is obeyed.

    Raises SaltsUnavailableError, and SettingsError when there is no such site.
    """
    if site not in settings.sites:
        raise SettingsError(f"sites: there is no {site}; there are: {', '.join(settings.sites)}")
    salts = Salts.under(settings.data_dir)
    first = salts.current(_now())
    accesses = Accesses(settings, "log") if of_a_log else None
    publisher = KafkaPublisher(
        settings.kafka.bootstrap,
        kafka_login.options(settings),
        max_pending=2 * (WINDOW + 2) * BATCH,
        timeout=60.0,
    )
    intake = Intake(
        publisher,
        settings.topic(TOPIC),
        site,
        tally,
        salt=(lambda: salts.current(_now())) if endless else (lambda: first),
        clock=_now,
        accesses=accesses,
    )
    try:
        yield intake
    except (KeyboardInterrupt, *UNREADABLE) as end:
        intake.settle()
        if not (endless and isinstance(end, KeyboardInterrupt)):
            raise
    finally:
        publisher.close()
        salts.close()
        if accesses is not None:
            accesses.close()


def _now() -> int:
    return time.time_ns() // 1_000_000
