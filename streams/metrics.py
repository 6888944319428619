"""Every metric there is, in one registry of our own.

Labels are names from the settings and reasons from closed lists: never anything a visitor sent.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from privacy.outcome import Reason, Reject
from streams.version import VERSION

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)  # memory, CPU time, open files, start
PlatformCollector(registry=REGISTRY)

BUILD = Gauge("lethe_build_info", "Always 1; which release runs.", ["version"], registry=REGISTRY)
BUILD.labels(VERSION).set(1)
LOOP_SILENT = Gauge(
    "lethe_loop_silent_seconds",
    "For how long a part of the worker has not gone round; 120 and it is taken to hang.",
    ["part"],
    registry=REGISTRY,
)
LEDGER_AWAY = Counter(
    "lethe_ledger_away", "Turns that had to wait for the ledger.", registry=REGISTRY
)
CHECKPOINT_BLOCKED = Counter(
    "lethe_checkpoint_blocked",
    "Times somebody's long read kept deleted bytes in the ledger's files.",
    registry=REGISTRY,
)
CONSENTS_UNKNOWN = Counter(
    "lethe_consents_unknown",
    "Times that what visitors chose could not be told, and events waited.",
    registry=REGISTRY,
)
READER_LAG = Gauge(
    "lethe_reader_lag_messages",
    "Messages of a topic that its reader has still to read.",
    ["reader", "topic"],
    registry=REGISTRY,
)
OUTBOX_WAITING = Gauge(
    "lethe_outbox_waiting_messages",
    "Messages in the ledger that the broker has still to take.",
    registry=REGISTRY,
)
WITHDRAWAL_OLDEST = Gauge(
    "lethe_withdrawal_oldest_seconds",
    "Age of the oldest withdrawal that is not effective; 0: there is none.",
    registry=REGISTRY,
)
REMOVALS_DUE = Gauge(
    "lethe_ads_removals_due",
    "Removals at ad providers that are due and not done.",
    ["provider"],
    registry=REGISTRY,
)
BACKUP_AT = Gauge(
    "lethe_backup_timestamp_seconds",
    "When the ledger was last backed up, since 1970; 0: never.",
    registry=REGISTRY,
)

COLLECTOR_REQUESTS = Counter(
    "lethe_collector_requests",
    "Requests of sites, by what became of them; no site with an unknown key.",
    ["site", "outcome"],
    registry=REGISTRY,
)
COLLECTOR_EVENTS = Counter(
    "lethe_collector_events", "Events stored by the broker.", ["site"], registry=REGISTRY
)
COLLECTOR_FORMS = Counter(
    "lethe_collector_forms",
    "Forms by service, and what became of them.",
    ["service", "outcome"],
    registry=REGISTRY,
)
COLLECTOR_SECONDS = Histogram(
    "lethe_collector_request_seconds",
    "From the first look at a request to its answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
COLLECTOR_PENDING = Gauge(
    "lethe_collector_pending_events", "Events waiting for the broker.", registry=REGISTRY
)

CONNECTIONS_ENDED = Counter(
    "lethe_connections_ended",
    "Connections that a server hung up on: too many, too many by one, does not read, no HTTP.",
    ["reason"],
    registry=REGISTRY,
)

LANE_MESSAGES = Counter(
    "lethe_lane_messages", "Messages a lane passed on.", ["lane"], registry=REGISTRY
)
LANE_REJECTS = Counter(
    "lethe_lane_rejects",
    "Messages a lane refused; each is a dead letter.",
    ["lane", "reason"],
    registry=REGISTRY,
)
LANE_LEFT_OUT = Counter(
    "lethe_lane_values_left_out",
    "Values a lane left out of events that went on.",
    ["lane", "reason"],
    registry=REGISTRY,
)
ADS_ROUTED = Counter(
    "lethe_ads_routed",
    "Events of consented visitors put on a provider's topic.",
    ["provider"],
    registry=REGISTRY,
)
ADS_HELD_BACK = Counter(
    "lethe_ads_held_back",
    "Events that no provider was told, by the reason.",
    ["provider", "reason"],
    registry=REGISTRY,
)
ADS_REQUESTS = Counter(
    "lethe_ads_requests",
    "Requests to ad providers, by what the provider said of them.",
    ["provider", "verdict"],
    registry=REGISTRY,
)
ADS_SETTLED = Counter(
    "lethe_ads_settled",
    "Events settled at a provider; reason is empty for delivered ones.",
    ["provider", "state", "reason"],
    registry=REGISTRY,
)
ADS_REMOVED = Counter(
    "lethe_ads_removed",
    "Removals at ad providers after withdrawals, by how they ended; alarm at refused.",
    ["provider", "state"],
    registry=REGISTRY,
)
WITHDRAWAL_SECONDS = Histogram(
    "lethe_withdrawal_seconds",
    "From a withdrawal's record to when it is effective; 7 is the bound.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7, 10),
    registry=REGISTRY,
)
CASES_CHANGED = Counter(
    "lethe_cases_changed",
    "Cases by service and the state that they came into.",
    ["service", "state"],
    registry=REGISTRY,
)
CLOSING_CASES = Gauge(
    "lethe_closing_cases",
    "Cases of closed groups that are still to be changed, of the job under way.",
    registry=REGISTRY,
)
KEYS_ASKED = Counter(
    "lethe_keys_asked",
    "Keys of cases that departments asked for, by whether they were given.",
    ["department", "outcome"],
    registry=REGISTRY,
)
UNREADABLE_SECONDS = Histogram(
    "lethe_unreadable_seconds",
    "From the event that ends a case to when its keys are gone; 60 is the bound.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60),
    registry=REGISTRY,
)
DELETIONS_COMPLETED = Counter(
    "lethe_deletions_completed", "Deletions with a certificate.", registry=REGISTRY
)
DELETIONS_OVERDUE = Gauge(
    "lethe_deletions_overdue",
    "Deletions past their deadline, by the holder waited for; no holder: the pipeline itself.",
    ["holder"],
    registry=REGISTRY,
)
REQUESTS_DECIDED = Counter(
    "lethe_requests_decided",
    "Requests of people about their data, by right and what was decided.",
    ["right", "verdict"],
    registry=REGISTRY,
)
REQUESTS_ANSWERED = Counter(
    "lethe_requests_answered", "Requests that are done and answered.", ["right"], registry=REGISTRY
)
REQUEST_STEPS_FAILED = Counter(
    "lethe_request_steps_failed",
    "Steps of requests that failed and are tried again, by the step; should stay 0.",
    ["step"],
    registry=REGISTRY,
)
REQUESTS_OVERDUE = Gauge(
    "lethe_requests_overdue", "Requests past their deadline (Art. 12(3)).", registry=REGISTRY
)
DEMANDS_OVERDUE = Gauge(
    "lethe_demands_overdue",
    "What holders outside were asked for people's rights, past the deadline, by the holder.",
    ["holder"],
    registry=REGISTRY,
)
RAW_OLDEST_SECONDS = Gauge(
    "lethe_raw_oldest_seconds",
    "Age of the oldest message with a full address that was just read; alarm at 450.",
    registry=REGISTRY,
)
DAYS_CLOSED = Counter(
    "lethe_days_closed",
    "Days whose statistics were published, by site.",
    ["site"],
    registry=REGISTRY,
)

DAYS_REBUILT = Counter(
    "lethe_days_rebuilt",
    "Closed days whose statistics differed from a recount; should stay 0.",
    ["site"],
    registry=REGISTRY,
)


SECURITY_ALERTS = Counter(
    "lethe_security_alerts",
    "Alerts of attacks on a site, or of its failures, by their rule.",
    ["site", "kind"],
    registry=REGISTRY,
)
SECURITY_UNTOLD = Counter(
    "lethe_security_accesses_untold",
    "Requests that the collector could not tell of; attacks among them are not seen.",
    registry=REGISTRY,
)
GUARD_ANSWERS = Counter(
    "lethe_guard_answers",
    "What web servers were told of visitors: passed, refused, unjudged (who passes, too).",
    ["answer"],
    registry=REGISTRY,
)
GUARD_BLIND = Gauge(
    "lethe_guard_blind",
    "1: alerts cannot be read, so that the guard lets everybody pass.",
    registry=REGISTRY,
)


def batch_done(
    lane: str, passed: int, rejects: Iterable[tuple[object, Reject]], remarks: Mapping[Reason, int]
) -> None:
    """Count what became of a lane's batch."""
    LANE_MESSAGES.labels(lane).inc(passed)
    for _, reject in rejects:
        LANE_REJECTS.labels(lane, reject.reason).inc()
    for reason, count in remarks.items():
        LANE_LEFT_OUT.labels(lane, reason).inc(count)
