"""Google Analytics 4 by the Measurement Protocol: pages visited and groups joined (S13, S14).

It says yes to whatever it is sent: neither a broken rule nor a wrong secret is reported, and an
event sent twice counts twice. So what breaks a documented rule never leaves. No address, no user
agent and no user id is sent.
"""

import re
import string
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from privacy.ads import AdEvent
from privacy.outcome import Reason
from sinks.ads import bodies
from sinks.ads.contract import AtOnce, Limits, Outcome, Request, Response, Verdict, leave

HOSTS = frozenset(
    {"www.google-analytics.com", "region1.google-analytics.com", "analyticsadmin.googleapis.com"}
)
MINUTE = 60_000
# An older event is dated 72 hours back, which is false: a minute is kept for the way there.
OLDEST = 72 * 60 * MINUTE - MINUTE
NEWEST = 15 * MINUTE - MINUTE
LONGEST, LONGEST_PAGE = 100, 1_000  # characters of a parameter, as in an encoded URL

# Not the whole _ga cookie, GA1.1.<id>: with that in front it is another client.
_CLIENT = re.compile(r"(?!GA[0-9]\.)[A-Za-z0-9._-]{1,100}")
_VERDICTS = {
    400: Verdict.REFUSED,
    401: Verdict.UNAUTHORISED,
    413: Verdict.REFUSED,
    429: Verdict.THROTTLED,
    503: Verdict.RETRY,
}


@dataclass(frozen=True, slots=True)
class Stream:
    """A site's data stream, ``G-…``, and the number of the property it belongs to."""

    measurement_id: str
    property_id: str


@dataclass(frozen=True, slots=True)
class Account:
    """The data streams by site. ``https://region1.google-analytics.com`` collects in the EU."""

    streams: Mapping[str, Stream]
    base_url: str = "https://www.google-analytics.com"
    admin_url: str = "https://analyticsadmin.googleapis.com"
    admin_version: str = "v1alpha"


class GA4(AtOnce):
    """The connector; see ``contract.Connector``.

    ``api_secret`` gives the secret of a measurement id, ``token`` one with the scope
    ``analytics.edit``, which deletion needs.
    """

    name = "ga4"
    limits = Limits(events=25, body=130_000)
    deduplicates = False
    keeps = (
        "Google Analytics deletes the visitor with all visits, "
        "and keeps the statistics that it has already drawn up."
    )

    def __init__(
        self, account: Account, api_secret: Callable[[str], str], token: Callable[[], str]
    ) -> None:
        self._account = account
        self._api_secret = api_secret
        self._token = token

    def refusal(self, event: AdEvent, now: int) -> Reason | None:
        """Return why the event would be lost: its time, its client, its page or group.

        It knows no way to leave a group, and conversions are marked there, by pages. Whoever is to
        be deleted needs a client alone.
        """
        return next(self._faults(event, now), None)

    def group(self, event: AdEvent) -> Hashable:
        """Group by client, of whom a request has one, and by consent, which it has for all."""
        return event.site, event.ids["ga_client_id"], event.audience is not None, event.member

    def build_request(self, events: Sequence[AdEvent], now: int, nonce: str) -> Request:
        """Return the request for events of one group; needs neither ``now`` nor ``nonce``.

        Being in an audience is personalisation, and is sent only with consent to it; measuring
        pages is not. Several removals of a client are one deletion.
        """
        del now, nonce
        first = events[0]
        if _deletes(first):
            return self._deletion(first)
        measurement_id = self._account.streams[first.site].measurement_id
        content = {
            "client_id": first.ids["ga_client_id"],
            "consent": {
                "ad_user_data": "GRANTED",
                "ad_personalization": "DENIED" if first.audience is None else "GRANTED",
            },
            "events": [_event(event) for event in events],
        }
        return Request(
            "POST",
            f"{self._account.base_url}/mp/collect?{urlencode({'measurement_id': measurement_id})}",
            bodies.written(content),
            {"Content-Type": "application/json"},
            {"api_secret": self._api_secret(measurement_id)},
        )

    def read_response(self, response: Response, count: int) -> Outcome:
        """Judge by the status; there is nothing else, except where something is wrong.

        The debug endpoint says 200 as well, with ``validationMessages``, and counts nothing.
        """
        del count
        content = bodies.read(response.body)
        code = f"http_{response.status}"
        if "validationMessages" in content:
            faulty = bool(content["validationMessages"])
            return Outcome(Verdict.REFUSED if faulty else Verdict.STOPPED, "debug_endpoint")
        if 200 <= response.status < 300:
            return Outcome(Verdict.DELIVERED, code)
        verdict = _VERDICTS.get(response.status)
        if verdict is None and response.status >= 500:
            # Only deletion explains its errors, and deleting twice is deleting once.
            verdict = Verdict.RETRY if "error" in content else Verdict.UNCERTAIN
        return Outcome(verdict or Verdict.STOPPED, code)

    def removal(self, event: AdEvent) -> AdEvent | None:
        """Return the deletion of the client with all events: no single one can be taken back."""
        return leave(event, None, {"ga_client_id": event.ids["ga_client_id"]})

    def _deletion(self, event: AdEvent) -> Request:
        stream = self._account.streams[event.site]
        name = f"{self._account.admin_version}/properties/{stream.property_id}"
        return Request(
            "POST",
            f"{self._account.admin_url}/{name}:submitUserDeletion",
            bodies.written({"clientId": event.ids["ga_client_id"]}),
            {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"},
        )

    def _faults(self, event: AdEvent, now: int) -> Iterator[Reason]:
        if event.site not in self._account.streams:
            yield Reason.NO_TARGET
        if not _deletes(event):
            yield from _target_faults(event)
            yield from _limit_faults(event, now)
        client = event.ids.get("ga_client_id")
        if not client:
            yield Reason.NO_IDENTIFIER
        elif not _CLIENT.fullmatch(client):
            yield Reason.BAD_IDENTIFIER


def _deletes(event: AdEvent) -> bool:
    return not event.member and event.audience is None


def _limit_faults(event: AdEvent, now: int) -> Iterator[Reason]:
    if _length(event.event_id) > LONGEST:
        yield Reason.TOO_LONG
    if event.occurred_at < now - OLDEST:
        yield Reason.TOO_OLD
    if event.occurred_at > now + NEWEST:
        yield Reason.TOO_NEW


def _target_faults(event: AdEvent) -> Iterator[Reason]:
    if event.page is not None:
        yield from _page_faults(event.page)
    elif not event.audience or not event.member:
        yield Reason.NO_TARGET
    elif not event.audience.isprintable():
        yield Reason.BAD_NAME
    elif _length(event.audience) > LONGEST:
        yield Reason.TOO_LONG


def _page_faults(page: str) -> Iterator[Reason]:
    try:
        parts = urlsplit(page)
        absolute = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        absolute = False
    if not absolute or not page.isprintable():
        yield Reason.BAD_NAME
    elif _length(page) > LONGEST_PAGE:
        yield Reason.TOO_LONG


def _length(text: str) -> int:
    return len(quote(text, safe=string.printable, errors="replace"))


def _event(event: AdEvent) -> dict[str, Any]:
    """Return the event; its id serves those who read the exported events, and nothing there."""
    if event.audience is None:
        name, what = "page_view", {"page_location": event.page}
    else:
        name, what = "join_group", {"group_id": event.audience}
    return {
        "name": name,
        "timestamp_micros": event.occurred_at * 1000,
        "params": {**what, "event_id": event.event_id},
    }
