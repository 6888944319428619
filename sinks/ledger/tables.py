"""The ledger's tables as the migrations leave them; a test holds the two equal.

Times are milliseconds since 1970 unless said otherwise.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

METADATA = MetaData()


def _key(name: str, of: type[TypeEngine[Any]]) -> Column[Any]:
    return Column(name, of, primary_key=True, autoincrement=False)


def _must(name: str, of: type[TypeEngine[Any]]) -> Column[Any]:
    return Column(name, of, nullable=False)


# How far each reader of a topic has come: one row a partition, not one a message.
positions = Table(
    "positions",
    METADATA,
    _key("reader", Text),
    _key("topic", Text),
    _key("partition", Integer),
    _must("offset", BigInteger),
)

# Messages that a reader's effects gave rise to and the broker has not acknowledged.
outbox = Table(
    "outbox",
    METADATA,
    _key("reader", Text),
    _key("topic", Text),
    _key("partition", Integer),
    _key("offset", BigInteger),
    _key("number", Integer),  # among the messages of one input
    _must("target", Text),
    _must("key", LargeBinary),
    Column("value", LargeBinary),  # none: a tombstone
)

# What each visitor of each site decided, as privacy.consent has it.
consents = Table(
    "consents",
    METADATA,
    _key("site", Text),
    _key("visitor", Text),
    _must("epoch", BigInteger),
    _must("standings", JSON),
    _must("spent", JSON),
)

# The proof (Art. 7(1)): every change, never altered.
consent_changes = Table(
    "consent_changes",
    METADATA,
    _key("site", Text),
    _key("visitor", Text),
    _key("offset", BigInteger),
    _must("partition", Integer),
    _must("id", Text),
    _must("purpose", Text),
    _must("decision", Text),
    Column("notice_id", Text),  # none: a signal of the browser, which needs none
    Column("notice_version", Text),
    Column("language", Text),
    _must("how", Text),
    _must("occurred_at", BigInteger),  # by the sender's clock: decides nothing
    _must("recorded_at", BigInteger),  # by the broker's
)

# Changes that took an ads consent away, and from when on nothing more left.
withdrawals = Table(
    "withdrawals",
    METADATA,
    _key("partition", Integer),
    _key("offset", BigInteger),
    _must("recorded_at", BigInteger),
    Column("effective_at", BigInteger),
)

# Who delivers a partition's events to a provider, and until when it may.
dispatchers = Table(
    "dispatchers",
    METADATA,
    _key("partition", Integer),
    _key("provider", Text),
    _must("id", Text),
    _must("host", Text),
    _must("boot_id", Text),
    _must("pid", Integer),
    _must("started", BigInteger),  # ticks since the boot
    _must("passed", BigInteger),  # next offset of consent-changes
    _must("lease_until", BigInteger),  # milliseconds of its CLOCK_BOOTTIME
    _must("seen_at", BigInteger),
)

# What became of each event at each provider. No visitor here.
deliveries = Table(
    "deliveries",
    METADATA,
    _key("provider", Text),
    _key("event_id", Text),
    _must("partition", Integer),
    _must("site", Text),
    _must("state", Text),
    Column("reason", Text),
    Column("ticket", Text),
    Column("begun_at", BigInteger),  # first byte of the last request with it
    _must("at", BigInteger),
    _must("tries", Integer),
)
