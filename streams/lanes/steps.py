"""The path of a tracking event to what may be kept of it (S9, S11, S12).

``SHORTENED`` and ``RAW``, at the end, are the whole path. Steps named ``require_`` may end it;
``put_`` and ``mask_`` only change it. Of what a step leaves behind, only the columns of
``anonymised_event`` are published: cookie, session and device ids, address, coordinates, provider
ids and the user agent's text end here because nobody selects them.
"""

import uuid
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from privacy.durations import DAY_MS
from privacy.network import shorten
from privacy.outcome import Reason
from privacy.pseudonym import visitor_hash
from privacy.tracking import AHEAD_MS, EARLIEST_MS, UUID
from streams.lanes.batch import Batch
from streams.lanes.memo import Memo
from streams.lanes.rules import FULL, UNKNOWN, UNREADABLE, Rules

# Where event ids of messages without one come from: topic:partition:offset under this name.
NAMESPACE = uuid.UUID("5f3a7f0e-2a54-4c0d-9d2e-6d1f3c1b7a10")

Step = Callable[[Rules, Batch], None]


def require_known_site(rules: Rules, batch: Batch) -> None:
    """End events of sites that the settings do not name: no rules, no processing."""
    known = pc.is_in(batch.columns["site"], pa.array(list(rules.sites), pa.string()))
    batch.reject(~_mask(known), Reason.UNKNOWN_SITE, "require_known_site", "site")


def require_plausible_times(_: Rules, batch: Batch) -> None:
    """End events from before the web had logs, or from the future.

    Our own clock may be behind: what had happened when the broker stored it is not from the future.
    """
    for name in ("occurred_at", "received_at"):
        times = batch.numbers(name)
        ahead = times > batch.now + AHEAD_MS
        for row in np.flatnonzero(ahead):
            kind, stored_at = batch.source(row).timestamp()
            ahead[row] = kind != TIMESTAMP_LOG_APPEND_TIME or times[row] > stored_at + AHEAD_MS
        absurd = (times < EARLIEST_MS) | ahead
        batch.reject(absurd, Reason.ABSURD_TIME, "require_plausible_times", name)


def require_status(_: Rules, batch: Batch) -> None:
    """End events whose status no HTTP server gives."""
    status = batch.numbers("status")
    wrong = batch.given("status") & ((status < 100) | (status > 599))
    batch.reject(wrong, Reason.BAD_STATUS, "require_status", "status")


def require_event_id(_: Rules, batch: Batch) -> None:
    """End events whose id is no UUID: it is kept, so it must not be able to say anything."""
    ids = batch.columns["event_id"]
    tame = pc.or_(pc.match_substring_regex(ids, UUID), pc.equal(ids, ""))
    batch.reject(~_mask(tame), Reason.BAD_EVENT_ID, "require_event_id", "event_id")


def require_consent_for_ad_ids(_: Rules, batch: Batch) -> None:
    """End events that carry provider ids without the consent epoch that admits them (S14)."""
    wrong = batch.given("ad_ids") & ~batch.given("consent_epoch")
    batch.reject(
        wrong, Reason.ADS_WITHOUT_CONSENT, "require_consent_for_ad_ids", "ad_ids", "consent_epoch"
    )


def drop_unwanted(rules: Rules, batch: Batch) -> None:
    """Leave out, before anything is stored, whom a right withholds, and who objected to analytics.

    Restriction and erasure (S20, S21) come before the objection (S13, S17) when all hold.
    """
    if rules.choices is not None:
        visitors = batch.visitors()
        withheld = rules.choices.withheld(visitors)
        objected = rules.choices.objected(visitors)
        batch.drop({**withheld, Reason.ANALYTICS_OBJECTED: objected})


def put_place(rules: Rules, batch: Batch) -> None:
    """Locate the shortened address (S11); one that is not shortened is marked FULL."""
    places = rules.locate(batch.columns["ip"])
    batch.remark(Reason.ADDRESS_UNREADABLE, np.count_nonzero(places == UNREADABLE))
    batch.columns["place"] = pa.array(places)


def require_short_address(_: Rules, batch: Batch) -> None:
    """End events with a full address, which no durable topic may hold (S11)."""
    full = batch.numbers("place") == FULL
    batch.reject(full, Reason.FULL_ADDRESS, "require_short_address", "ip")


def leave_rejected(_: Rules, batch: Batch) -> None:
    """Take out what the requirements refused."""
    batch.leave_rejected()


def put_event_id(_: Rules, batch: Batch) -> None:
    """Give events without an id one made of where the message lies: a replay gives it again."""
    missing = np.flatnonzero(_mask(pc.equal(batch.columns["event_id"], "")))
    if len(missing):
        ids = batch.columns["event_id"].to_pylist()
        for row in missing:
            source = batch.source(row)
            name = f"{source.topic()}:{source.partition()}:{source.offset()}"
            ids[row] = str(uuid.uuid5(NAMESPACE, name))
        batch.columns["event_id"] = pa.array(ids, pa.string())


def put_visitor(rules: Rules, batch: Batch) -> None:
    """Make the daily visitor hash where the entrance could not (S9)."""
    missing = ~batch.given("visitor")
    visitors = batch.numbers("visitor")
    if missing.any():
        # By the broker's time: ours may be a day ahead, and would destroy the salt of this day.
        salt = rules.salt(max(each.timestamp()[1] for each in batch.messages))
        mask = pa.array(missing)
        site, cookie, agent, address = (
            batch.columns[name].filter(mask).to_pylist()
            for name in ("site", "cookie_id", "user_agent", "ip")
        )
        day = (batch.numbers("occurred_at")[missing] // DAY_MS).tolist()
        visitors = visitors.copy()
        visitors[missing] = [
            visitor_hash(salt, *who) for who in zip(site, day, cookie, agent, address, strict=True)
        ]
    batch.columns["visitor"] = pa.array(visitors)


def put_place_of_full_address(rules: Rules, batch: Batch) -> None:
    """Shorten, then locate; remember neither form (S11)."""
    given = batch.columns["ip"].to_pylist()
    short = [address and shorten(address) for address in given]
    unreadable = sum(b is None for a, b in zip(given, short, strict=True) if a is not None)
    batch.remark(Reason.ADDRESS_UNREADABLE, unreadable)
    batch.columns["place"] = pa.array(rules.places.locate(short))


def put_city(rules: Rules, batch: Batch) -> None:
    """Name the city: by coordinates where the visitor agreed, else by the address (S11)."""
    codes = np.maximum(batch.numbers("place"), UNKNOWN)
    located = batch.given("latitude") & batch.given("longitude")
    if located.any():
        agreed = _mask(batch.columns["location_consent"])
        if rules.choices is not None:
            agreed = agreed & rules.choices.may_be_located(batch.visitors())
        batch.remark(Reason.COORDINATES_WITHOUT_CONSENT, np.count_nonzero(located & ~agreed))
        rows = np.flatnonzero(located & agreed)
        found = rules.places.nearest(
            batch.numbers("latitude")[rows], batch.numbers("longitude")[rows]
        )
        batch.remark(Reason.COORDINATES_UNPLACED, np.count_nonzero(found == UNKNOWN))
        codes[rows] = np.where(found == UNKNOWN, codes[rows], found)
    # Few cities in a batch: take the names of those, not of every row.
    coded = pa.array(codes).dictionary_encode()
    present = coded.dictionary.to_numpy()
    for column, names in (("country", rules.places.countries), ("city", rules.places.cities)):
        batch.columns[column] = pa.array(names[present], pa.string()).take(coded.indices)


def mask_page(rules: Rules, batch: Batch) -> None:
    """Keep the path and the query parameters that the site's rules name (S9)."""
    sites = batch.columns["site"]
    cleaned = pa.nulls(len(batch), pa.string())
    for kept, memo in rules.pages.items():
        of_these = [name for name, site in rules.sites.items() if site.query_parameters == kept]
        rows = pc.is_in(sites, pa.array(of_these, pa.string()))
        pages = batch.columns["page"].filter(rows)
        texts = _cleaned(batch, pages, memo, Reason.PAGE_UNREADABLE)
        cleaned = texts if len(texts) == len(batch) else pc.replace_with_mask(cleaned, rows, texts)
    batch.columns["page"] = cleaned


def mask_referrer(rules: Rules, batch: Batch) -> None:
    """Keep the origin of the page before."""
    batch.columns["referrer"] = _cleaned(
        batch, batch.columns["referrer"], rules.referrers, Reason.REFERRER_UNREADABLE
    )


def mask_search_terms(rules: Rules, batch: Batch) -> None:
    """Keep search terms only for sites that opted in."""
    opted_in = [name for name, site in rules.sites.items() if site.search_terms]
    rows = pc.is_in(batch.columns["site"], pa.array(opted_in, pa.string()))
    terms = pc.if_else(rows, batch.columns["search_terms"], pa.scalar(None, pa.string()))
    batch.columns["search_terms"] = _cleaned(batch, terms, rules.terms, Reason.TERMS_REFUSED)


def mask_name(rules: Rules, batch: Batch) -> None:
    """Keep names of clicks and custom events that can say nothing about a person."""
    batch.columns["name"] = _cleaned(batch, batch.columns["name"], rules.names, Reason.NAME_REFUSED)


def put_status(_: Rules, batch: Batch) -> None:
    """Write 0 where there is no status."""
    batch.columns["status"] = batch.columns["status"].fill_null(0)


def put_browser(rules: Rules, batch: Batch) -> None:
    """Reduce the user agent to family, major version and whether it is a bot (S9)."""
    places, browsers = rules.browsers(batch.columns["user_agent"])
    rows = pa.array(places)
    batch.columns["browser"] = pa.array([each.family for each in browsers]).take(rows)
    batch.columns["browser_version"] = pa.array([each.version for each in browsers]).take(rows)
    batch.columns["bot"] = pa.array([each.bot for each in browsers]).take(rows)


REQUIREMENTS: tuple[Step, ...] = (
    require_known_site,
    require_plausible_times,
    require_event_id,
    require_status,
    require_consent_for_ad_ids,
)
MASKS: tuple[Step, ...] = (
    put_city,
    mask_page,
    mask_referrer,
    mask_search_terms,
    mask_name,
    put_status,
    put_browser,
)
SHORTENED: tuple[Step, ...] = (
    *REQUIREMENTS,
    put_place,
    require_short_address,
    leave_rejected,
    drop_unwanted,
    put_event_id,
    put_visitor,
    *MASKS,
)
# The hash is made before the address is shortened, as at every entrance.
RAW: tuple[Step, ...] = (
    *REQUIREMENTS,
    leave_rejected,
    drop_unwanted,
    put_event_id,
    put_visitor,
    put_place_of_full_address,
    *MASKS,
)


def _mask(column: pa.BooleanArray) -> np.ndarray:
    mask: np.ndarray = column.to_numpy(zero_copy_only=False)
    return mask


def _cleaned(
    batch: Batch, column: pa.StringArray, memo: Memo[str | None], reason: Reason
) -> pa.StringArray:
    """Clean a column of text; what cannot be cleaned becomes empty and is counted."""
    places, texts = memo(column)
    refused = np.array([text is None for text in texts])
    batch.remark(reason, np.count_nonzero(refused[places]))
    return pa.array([text or "" for text in texts], pa.string()).take(pa.array(places))
