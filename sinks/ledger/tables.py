"""The ledger's tables as the migrations leave them; a test holds the two equal.

Times are milliseconds since 1970 unless said otherwise.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    REAL,
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
    Column("site", Text),
    Column("visitor", Text),
    Column("purpose", Text),  # none: all
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

# What may have reached a provider and can be undone there.
reached = Table(
    "reached",
    METADATA,
    _key("provider", Text),
    _key("event_id", Text),  # of the removal
    _must("partition", Integer),
    _must("site", Text),
    _must("visitor", Text),
    Column("audience", Text),  # none: all that the provider holds of the visitor
    _must("ids", JSON),
    _must("purpose", Text),
    _must("epoch", BigInteger),
    Column("due_at", BigInteger),  # none: the consent stands, as far as is effective
)

# The key of each case that is kept, wrapped for each department that may read it.
case_keys = Table(
    "case_keys",
    METADATA,
    _key("case_id", Text),
    _key("department", Text),
    _must("wrapped", LargeBinary),
    _must("made_at", BigInteger),
)

# Which department asked for the key of which case, and whether it was given.
key_uses = Table(
    "key_uses",
    METADATA,
    _key("case_id", Text),
    _key("department", Text),
    _key("at", BigInteger),
    _must("outcome", Text),
)

# Cases that are kept: where they stand, and their fields; the personal ones sealed.
cases = Table(
    "cases",
    METADATA,
    _key("case_id", Text),
    _must("service", Text),
    Column("group_id", Text),
    _must("site", Text),
    Column("subject", Text),
    _must("state", Text),
    Column("language", Text),
    _must("received_at", BigInteger),
    _must("changed_at", BigInteger),
    Column("due_at", BigInteger),  # none: the state does not end by itself
    _must("key_version", Integer),
    _must("sealed", JSON),  # by field, base64
    _must("settings", JSON),
    Column("further", JSON(none_as_null=True)),
    Column("held", Text),  # by which restriction; none: free
)

# What cases may belong to and end with: contests, events, surveys, vacancies.
groups = Table(
    "groups",
    METADATA,
    _key("service", Text),
    _key("group_id", Text),
    _must("state", Text),
    Column("capacity", Integer),
    _must("settings", JSON),
)

# Service events, and how far those of a whole group are carried out.
jobs = Table(
    "jobs",
    METADATA,
    _key("job_id", Text),
    _must("service", Text),
    Column("group_id", Text),
    _must("event", Text),
    _must("total", Integer),
    _must("done", Integer),
    _must("begun_at", BigInteger),
    Column("finished_at", BigInteger),
)

# Cases that are over, and when each step of their deletion was done. Kept for ever: a case that
# is named here cannot come back.
deletions = Table(
    "deletions",
    METADATA,
    _key("deletion_id", Text),
    _must("case_id", Text),
    _must("service", Text),
    _must("departments", JSON),
    _must("holders", JSON),
    _must("cause", Text),
    _must("cause_id", Text),
    _must("requested_at", BigInteger),
    _must("deadline", BigInteger),
    Column("shredded_at", BigInteger),
    Column("unreadable_at", BigInteger),
    Column("announced_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("certificate", JSON(none_as_null=True)),
)

# What each holder outside said became of a deletion.
receipts = Table(
    "receipts",
    METADATA,
    _key("deletion_id", Text),
    _key("holder", Text),
    _must("outcome", Text),
    _must("at", BigInteger),
)

# Who unsubscribed from a list, until they subscribe again themselves.
unsubscribed = Table(
    "unsubscribed",
    METADATA,
    _key("list", Text),
    _key("subject", Text),
    _must("at", BigInteger),
)

# What people asked of their rights. Without personal data once it is closed.
requests = Table(
    "requests",
    METADATA,
    _key("request_id", Text),
    _must("right", Text),
    Column("ground", Text),
    _must("site", Text),
    _must("language", Text),
    Column("subject", Text),
    _must("has_visitor", Integer),
    _must("state", Text),
    _must("received_at", BigInteger),
    Column("confirmed_at", BigInteger),
    Column("confirmed_by", Text),
    _must("deadline", BigInteger),
    Column("extended_because", Text),
    Column("planned_at", BigInteger),
    Column("verdict", Text),
    Column("refused", JSON(none_as_null=True)),
    Column("answered_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("due_at", BigInteger),  # none: it does not wait for a time
    Column("policy_version", Text),
    Column("sealed", LargeBinary),
)

# The plan of each request: what is done, in this order, and when it was.
request_commands = Table(
    "request_commands",
    METADATA,
    _key("request_id", Text),
    _key("number", Integer),
    _must("act", Text),
    _must("target", Text),
    Column("done_at", BigInteger),
    Column("outcome", Text),
)

# Restrictions of persons, and claims that keep a case.
holds = Table(
    "holds",
    METADATA,
    _key("hold_id", Text),
    _key("whose", Text),  # one request may hold a subject and a visitor
    _must("kind", Text),
    Column("subject", Text),
    Column("site", Text),
    Column("visitor", Text),
    Column("case_id", Text),  # of a claim
    _must("ground", Text),
    _must("since", BigInteger),
)

# Service events that wait for the end of a hold.
deferred = Table(
    "deferred",
    METADATA,
    _key("case_id", Text),
    _key("number", Integer),
    _must("event", JSON),
)

# Who was erased when: what was received before that ends at once, whenever it comes.
suppressed = Table(
    "suppressed",
    METADATA,
    _key("subject", Text),
    _must("at", BigInteger),
    _must("request_id", Text),
)

# What holders outside are asked to do for a request.
demands = Table(
    "demands",
    METADATA,
    _key("demand_id", Text),
    _must("request_id", Text),
    _must("kind", Text),
    _must("case_id", Text),
    _must("service", Text),
    _must("holders", JSON),
    _must("requested_at", BigInteger),
    _must("deadline", BigInteger),
    Column("completed_at", BigInteger),
    Column("shredded_at", BigInteger),
)

# What each holder said became of a demand, and of an export what it holds.
demand_answers = Table(
    "demand_answers",
    METADATA,
    _key("demand_id", Text),
    _key("holder", Text),
    _must("outcome", Text),
    _must("at", BigInteger),
    Column("content", LargeBinary),
)

# Files that requesters fetch once, by the hash of the token that opens them.
answers = Table(
    "answers",
    METADATA,
    _key("answer_id", Text),
    _must("request_id", Text),
    _must("name", Text),
    _must("media_type", Text),
    Column("sealed", LargeBinary),  # none: taken, or expired
    _must("made_at", BigInteger),
    _must("expires_at", BigInteger),
    Column("taken_at", BigInteger),
)

# What is to be done to visitors' facts in ClickHouse, for many requests at a time.
visitor_facts = Table(
    "visitor_facts",
    METADATA,
    _key("request_id", Text),
    _key("number", Integer),
    _must("act", Text),
    _must("site", Text),
    Column("visitor", Text),
    _must("asked_at", BigInteger),
    Column("done_at", BigInteger),
)

# Every policy that was in force.
policies = Table(
    "policies",
    METADATA,
    _key("version", Text),
    _must("digest", Text),
    _must("recorded_at", BigInteger),
    _must("text", Text),
)

# Whose profile there is, and the day of its last sign. Days are since 1970, UTC.
profiles = Table(
    "profiles",
    METADATA,
    _key("pseudonym", Text),
    _must("last_day", Integer),
)

# Where a visitor was on which day.
profile_cities = Table(
    "profile_cities",
    METADATA,
    _key("pseudonym", Text),
    _key("country", Text),
    _key("city", Text),
    _key("day", Integer),
)

# What a visitor is interested in, and how much on the day of the last sign.
profile_interests = Table(
    "profile_interests",
    METADATA,
    _key("pseudonym", Text),
    _key("interest", Text),
    _must("weight", REAL),
    _must("last_day", Integer),
)

# What a visitor put in (1) or took out (0), whatever is seen afterwards.
profile_corrections = Table(
    "profile_corrections",
    METADATA,
    _key("pseudonym", Text),
    _key("interest", Text),
    _must("put_in", Integer),
)

# Which interests go together in enough profiles: about nobody.
profile_affinities = Table(
    "profile_affinities",
    METADATA,
    _key("interest", Text),
    _key("other", Text),
    _must("similarity", REAL),
)
