"""What the parts of one worker share: settings, policy, consents in memory, ledger, clients."""

import time
from functools import cached_property

from confluent_kafka import Consumer
from sqlalchemy import URL, make_url

from privacy.policy import Policy
from schemas.registry import codec_of
from sinks.clickhouse.client import Client
from sinks.clickhouse.connect import connect
from sinks.consent_barrier import Consents
from sinks.kafka import BatchProducer, consumer
from sinks.ledger.ledger import Ledger
from streams import kafka_login, policy
from streams.settings import Settings, SettingsError


class Shared:
    """Made once a process, opened when first asked for."""

    def __init__(self, settings: Settings) -> None:
        """Raise PolicyError when the settings name a policy that cannot be used."""
        self.settings = settings
        self._text = None if settings.policy is None else policy.read(settings.policy)
        self.policy = None if self._text is None else policy.parse(self._text, str(settings.policy))

    @property
    def known_policy(self) -> Policy:
        """The policy, for parts that do nothing without. Raise SettingsError when there is none."""
        if self.policy is None:
            raise SettingsError("policy: name the policy file; nothing can be done here without it")
        return self.policy

    @cached_property
    def consents(self) -> Consents:
        """What visitors chose about the policy's purposes."""
        kafka, options = self.settings.kafka, kafka_login.options(self.settings)
        purposes = tuple(self.policy.purposes) if self.policy is not None else ()
        return Consents(kafka.bootstrap, options, kafka.prefix, purposes)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, migrated."""
        return Ledger.open(ledger_url(self.settings))

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
        beats = {"session.timeout.ms": str(session), "heartbeat.interval.ms": str(session // 4)}
        options = {**beats, **kafka_login.options(self.settings)}
        return consumer(kafka.bootstrap, kafka.prefix + reader, options)

    def producer(self, writer: str) -> BatchProducer:
        """Return a producer for a writer of the catalogue, which its topics' readers can read."""
        kafka, codec = self.settings.kafka, codec_of(writer)
        needed = {} if codec is None else {"compression.type": codec}
        return BatchProducer(kafka.bootstrap, {**kafka_login.options(self.settings), **needed})


def clickhouse(settings: Settings, user: str) -> Client:
    """Return a client of ClickHouse as one of its users, whose password is in the secrets."""
    return connect(settings.clickhouse, user, settings.secrets)


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
