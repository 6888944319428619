"""What the parts of one worker share: settings, policy, consents in memory, ledger, clients."""

import time
from pathlib import Path
from threading import RLock

from confluent_kafka import Consumer
from sqlalchemy import URL, make_url

from privacy.policy import Policy
from schemas.registry import codec_of
from sinks.clickhouse.client import Client
from sinks.clickhouse.connect import connect
from sinks.consent_barrier import ASIDE, Consents
from sinks.kafka import BatchProducer, consumer
from sinks.ledger.journal import Journal
from sinks.ledger.ledger import Ledger
from sinks.places import Places
from streams import kafka_login, policy
from streams.settings import Settings, SettingsError

JOIN_MS = 45_000


class Shared:
    """Made once a process, opened when first asked for."""

    def __init__(self, settings: Settings, ledger: Ledger | None = None) -> None:
        """Raise PolicyError when the settings name a policy that cannot be used.

        ``ledger`` is used in the place of the settings' own, which is opened otherwise.
        """
        self.settings = settings
        self._opening = RLock()  # each loop is a thread, and the first to ask opens it for all
        self._ledger = ledger
        self._consents: Consents | None = None
        self._text = None if settings.policy is None else policy.read(settings.policy)
        self.policy = None if self._text is None else policy.parse(self._text, str(settings.policy))

    @property
    def known_policy(self) -> Policy:
        """The policy, for parts that do nothing without. Raise SettingsError when there is none."""
        if self.policy is None:
            raise SettingsError("policy: name the policy file; nothing can be done here without it")
        return self.policy

    @property
    def consents(self) -> Consents:
        """What visitors chose about the policy's purposes."""
        with self._opening:
            if self._consents is None:
                kafka, options = self.settings.kafka, kafka_login.options(self.settings)
                purposes = tuple(self.policy.purposes) if self.policy is not None else ()
                self._consents = Consents(kafka.bootstrap, options, kafka.prefix, purposes)
            return self._consents

    @property
    def ledger(self) -> Ledger:
        """The ledger, migrated."""
        with self._opening:
            if self._ledger is None:
                self._ledger = open_ledger(self.settings)
            return self._ledger

    def record_policy(self) -> None:
        """Keep this version of the policy in the ledger, if there is one, as the one in force.

        Raise PolicyError when its version is that of another, LedgerError.
        """
        if self._text is not None:
            policy.record(self.ledger, self._text, str(self.settings.policy), now())

    def clickhouse(self, user: str) -> Client:
        """Return a client of ClickHouse as one of its users, whose password is in the secrets."""
        return clickhouse(self.settings, user)

    def consumer(self, reader: str) -> Consumer:
        """Return a consumer of the group ``reader``."""
        kafka = self.settings.kafka
        session = int(kafka.session_seconds * 1000)
        options = {
            "session.timeout.ms": str(session),
            "heartbeat.interval.ms": str(session // 4),
            # So long, and not for socket.timeout.ms, librdkafka waits for whether it has joined,
            # and asks nothing else of that connection: one that is dead would cost five minutes.
            "max.poll.interval.ms": str(max(session, JOIN_MS)),
            **kafka_login.options(self.settings),
        }
        return consumer(kafka.bootstrap, kafka.prefix + reader, options)

    @property
    def places(self) -> Places:
        """What looks at the broker's topics and groups."""
        kafka = self.settings.kafka
        options = kafka_login.options(self.settings)
        return Places(kafka.bootstrap, options, kafka.prefix + ASIDE)

    def producer(self, writer: str) -> BatchProducer:
        """Return a producer for a writer of the catalogue, which its topics' readers can read."""
        kafka, codec = self.settings.kafka, codec_of(writer)
        needed = {} if codec is None else {"compression.type": codec}
        return BatchProducer(kafka.bootstrap, {**kafka_login.options(self.settings), **needed})


def clickhouse(settings: Settings, user: str) -> Client:
    """Return a client of ClickHouse as one of its users, whose password is in the secrets."""
    return connect(settings.clickhouse, user, settings.secrets)


def open_ledger(settings: Settings, *, restoring: bool = False) -> Ledger:
    """Open the settings' ledger with its journal of erasures; raise as ``Ledger.open``."""
    erasures = Journal(erasures_folder(settings))
    return Ledger.open(ledger_url(settings), erasures, restoring=restoring)


def erasures_folder(settings: Settings) -> Path:
    """Return where the journal of erasures is, which restoring the ledger needs."""
    return settings.erasures_dir or settings.data_dir / "erasures"


def ledger_url(settings: Settings) -> URL:
    """Return where the ledger is; a server's password is in the secrets."""
    if not settings.ledger:
        return URL.create("sqlite", database=str(settings.data_dir / "ledger.db"))
    url = make_url(settings.ledger)
    secret = settings.secrets / "ledger"
    return url.set(password=secret.read_text().strip()) if secret.is_file() else url


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
