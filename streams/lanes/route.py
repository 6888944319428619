"""The route lane: consented events to one topic a provider, with what it may be told (S14).

Consent is decided here for the first time, by all that was acknowledged before the batch was read,
and again when something is sent. What is held back is counted by reason; it is no dead letter,
since nothing is wrong with it. Events that break the contract are left to the anonymise lane, which
reads the same topic and refuses them.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privacy.ads import IDS, AdEvent, ProviderName
from privacy.policy import Policy, Provider
from privacy.standings import NO_EPOCH, REFUSALS
from schemas.codec import encode
from schemas.columns import decode_batch
from sinks.kafka import BatchProducer, commit
from streams import metrics
from streams.lanes.batch import Batch
from streams.lanes.reader import Reader
from streams.lanes.rules import Rules
from streams.lanes.source import Source
from streams.lanes.steps import (
    REQUIREMENTS,
    Step,
    leave_rejected,
    mask_page,
    require_short_address,
)
from streams.lanes.steps import put_place as mark_full_address

NAMESPACE = UUID("b0f0e1c4-6b1b-4c9d-9a67-52d1b6b7c7a5")


def put_origin(rules: Rules, batch: Batch) -> None:
    """Keep the page's origin, which its cleaned form lacks."""
    places, origins = rules.referrers(batch.columns["page"])
    texts = pa.array([origin or "" for origin in origins], pa.string())
    batch.columns["origin"] = texts.take(pa.array(places))


PATH = (
    *REQUIREMENTS,
    mark_full_address,
    require_short_address,
    leave_rejected,
    put_origin,
    mask_page,
)
READ = (
    "event_id",
    "occurred_at",
    "site",
    "type",
    "name",
    "page",
    "origin",
    "cookie_id",
    "consent_epoch",
    "ad_ids",
    "user_agent",
)


class Consents(Protocol):
    """What visitors chose."""

    def refusals(
        self, visitors: Sequence[bytes | None], purpose: str, carried: np.ndarray
    ) -> np.ndarray:
        """Return why events may not be used, as places in ``privacy.standings.REFUSALS``."""
        ...


@dataclass(frozen=True, slots=True)
class Routed:
    """One event for one provider, and the key it is published under."""

    provider: str
    key: bytes
    event: AdEvent


class Router:
    """Decides which providers are told of which events. Pure but for what ``consents`` knows."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._targets = lru_cache(100_000)(self._targets_of)

    def __call__(
        self, rows: pa.Table, consents: Consents, held_back: Callable[[str, str, int], None]
    ) -> Iterator[Routed]:
        """Yield what goes to whom. ``rows`` have the columns READ, pages cleaned.

        ``held_back`` is told the provider, the reason and how many.
        """
        visitors = _keys(rows)
        carried = pc.fill_null(rows["consent_epoch"], NO_EPOCH).to_numpy()
        sites = rows["site"]
        verdicts = {
            provider.purpose: consents.refusals(visitors, provider.purpose, carried)
            for provider in self._policy.providers.values()
        }
        for name, provider in self._policy.providers.items():
            ours = pc.is_in(sites, pa.array(provider.sites, pa.string())).to_numpy()
            codes = verdicts[provider.purpose]
            for code, reason in enumerate(REFUSALS):
                if reason is not None and (many := int(np.count_nonzero(ours & (codes == code)))):
                    held_back(name, reason, many)
            chosen = np.flatnonzero(ours & (codes == 0))
            for row in rows.take(pa.array(chosen)).to_pylist():
                yield from self._told(name, provider, row)

    def _told(
        self, name: ProviderName, provider: Provider, row: Mapping[str, Any]
    ) -> Iterator[Routed]:
        """Yield what one provider is told of one event."""
        site, visitor = row["site"], row["cookie_id"]
        given = row["ad_ids"] or {}
        common = {
            "site": site,
            "visitor": visitor,
            "occurred_at": row["occurred_at"],
            "epoch": row["consent_epoch"],
            "ids": {each: given[each] for each in IDS[name] if given.get(each)},
            "user_agent": row["user_agent"] if provider.user_agent else None,
        }
        page = row["page"] if row["type"] == "page_view" else None
        conversion, audiences = self._targets(name, site, page, row["name"])
        key = f"{site}|{visitor}".encode()
        if provider.pages and page:
            url = (row["origin"] or f"https://{site}") + page
            yield Routed(name, key, AdEvent(event_id=row["event_id"], page=url, **common))
        if conversion:
            event_id = _id(row["event_id"], conversion)
            yield Routed(name, key, AdEvent(event_id=event_id, conversion=conversion, **common))
        for audience in audiences:
            # One id for the whole time of a consent: a member is made once.
            event_id = _id(site, visitor, audience, row["consent_epoch"])
            yield Routed(name, key, AdEvent(event_id=event_id, audience=audience, **common))

    def _targets_of(
        self, name: ProviderName, site: str, page: str | None, event: str | None
    ) -> tuple[str | None, tuple[str, ...]]:
        """Return the conversion and the audiences, by their ids at the provider."""
        provider = self._policy.providers[name]
        path = urlsplit(page).path if page else None
        return (
            provider.conversion_of(path) if path is not None else None,
            tuple(
                provider.audiences[audience]
                for audience in self._policy.audiences_of(site, path, event)
                if audience in provider.audiences
            ),
        )


class RouteLane:
    """Runs the router until told to stop. One thread, one consumer."""

    name = "route"

    def __init__(
        self,
        router: Router,
        rules: Callable[[], Rules],
        consents: Consents,
        *,
        reader: Reader,
        producer: BatchProducer,
        topic_of: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Publish to ``topic_of(provider)``."""
        self._router = router
        self._rules = rules
        self._consents = consents
        self._reader = reader
        self._producer = producer
        self._topic_of = topic_of
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; raise on an outage, with nothing committed."""
        self._reader.run(self._pass, stop)

    def _pass(self, messages: Sequence[Source]) -> None:
        rows = _rows(consented(self._rules(), messages, int(self._clock() * 1000), PATH))
        passed = 0
        if rows.num_rows:
            for provider, events in self._routed(rows).items():
                values = [_encoded(each.event) for each in events]
                self._producer.send(self._topic_of(provider), values, [e.key for e in events])
                metrics.ADS_ROUTED.labels(provider).inc(len(events))
                passed += len(events)
        self._producer.stored()
        commit(self._reader.consumer, messages)
        metrics.batch_done(self.name, passed, (), {})

    def _routed(self, rows: pa.Table) -> Mapping[str, list[Routed]]:
        found: dict[str, list[Routed]] = {}
        for routed in self._router(rows, self._consents, _held_back):
            found.setdefault(routed.provider, []).append(routed)
        return found


def consented(rules: Rules, messages: Sequence[Source], now: int, path: Sequence[Step]) -> Batch:
    """Take the events that name a consent along ``path``; those that break the contract end there.

    ``now`` in milliseconds since 1970.
    """
    decoded = decode_batch("tracking_event", [message.value() for message in messages])
    named = pc.and_(decoded.rows["consent_epoch"].is_valid(), decoded.rows["cookie_id"].is_valid())
    mask = named.to_numpy(zero_copy_only=False)
    batch = Batch(decoded.rows.filter(named), messages, decoded.index[mask], now)
    for step in path:
        step(rules, batch)
    return batch


def _rows(batch: Batch) -> pa.Table:
    """Return the columns READ."""
    columns = {name: batch.columns[name] for name in READ}
    columns["occurred_at"] = columns["occurred_at"].cast(pa.int64())
    return pa.table(columns)


def _encoded(event: AdEvent) -> bytes:
    return encode(
        "ad_event",
        {
            "event_id": event.event_id,
            "site": event.site,
            "cookie_id": event.visitor,
            "occurred_at": event.occurred_at,
            "consent_epoch": event.epoch,
            "page": event.page,
            "conversion": event.conversion,
            "audience": event.audience,
            "member": event.member,
            "ids": dict(event.ids),
            "user_agent": event.user_agent,
        },
    )


def _keys(rows: pa.Table) -> list[bytes]:
    joined = pc.binary_join_element_wise(rows["site"], rows["cookie_id"], "|")
    keys: list[bytes] = joined.cast(pa.binary()).to_pylist()
    return keys


def _id(*parts: object) -> str:
    return str(uuid5(NAMESPACE, "|".join(map(str, parts))))


def _held_back(provider: str, reason: str, many: int) -> None:
    metrics.ADS_HELD_BACK.labels(provider, reason).inc(many)
