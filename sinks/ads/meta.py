"""Meta: the Conversions API for pages visited, custom audiences for membership (S14).

An event counts once by its name and id within 48 hours, and membership is a state, so the same
request may be sent again. A batch is taken whole or not at all, and the answer names no culprit.
"""

import hmac
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from privacy.ads import IDS, AdEvent, Contact
from privacy.outcome import Reason
from sinks.ads import bodies, hashing
from sinks.ads.contract import AtOnce, Limits, Outcome, Request, Response, Verdict, leave

HOSTS = frozenset({"graph.facebook.com"})
MINUTE = 60_000
# One older event has the whole request refused: a minute is kept for the way there.
OLDEST = 7 * 24 * 60 * MINUTE - MINUTE
NEWEST = MINUTE

_PAGE = re.compile(r"https?://[\w.-]+(:[0-9]+)?([/?#][^\s\x00-\x1f]*)?")
_NUMBER = re.compile(r"[0-9]+")
# fb.<depth of the domain>.<milliseconds>.<id>[.<what Meta's own library appends>]
_FB = {
    "fbp": re.compile(r"fb\.[0-9]\.[0-9]{13}\.[0-9]+(\.[\w-]+)?", re.ASCII),
    "fbc": re.compile(r"fb\.[0-9]\.[0-9]{13}\.[\w-]+(\.[\w-]+)?", re.ASCII),
}
_SHAPES = {"em": hashing.EMAIL, "ph": hashing.PHONE, "country": re.compile(r"[a-z]{2}")}

# How an event and an audience name what identifies a person.
_KEYS = {
    "em": "EMAIL", "ph": "PHONE", "fn": "FN", "ln": "LN", "zp": "ZIP", "country": "COUNTRY",
}  # fmt: skip

_VERDICTS = {
    **dict.fromkeys((102, 104, 190), Verdict.UNAUTHORISED),
    **dict.fromkeys((1, 2, 341, 5000, 21009), Verdict.RETRY),
    **dict.fromkeys((4, 17, 32, 613, *range(80000, 80015)), Verdict.THROTTLED),
    # No permission; an abusive app; a version that is gone.
    **dict.fromkeys((3, 10, 368, 2635, *range(200, 300)), Verdict.STOPPED),
    100: Verdict.REFUSED,
}
_STOPS = {(100, 33), (100, 1713230)}  # no such pixel or no permission; a blocked audience


@dataclass(frozen=True, slots=True)
class Account:
    """What the sites have at Meta; ``pixels`` by site.

    ``opt_out`` has events measured but not used to optimise delivery. ``limited_data_use`` of
    events is for the United States alone: country and state as Meta numbers them, (1, 1000) for
    California; it cannot look them up, as it gets no address. ``test_event_code`` is for
    development: Meta counts such events as well.
    """

    pixels: Mapping[str, str]
    base_url: str = "https://graph.facebook.com"
    version: str = "v26.0"
    opt_out: bool = False
    limited_data_use: tuple[int, int] | None = None
    test_event_code: str | None = None


class Meta(AtOnce):
    """The connector; see ``contract.Connector``.

    ``token`` is a system user's, sent in a header. ``app_secret``, for apps that ask for a proof
    with each call, goes out as nothing but that proof.
    """

    name = "meta"
    limits = Limits(events=1_000)
    deduplicates = True
    keeps = "Meta keeps the pages that it was told were visited: it offers no way to delete one."

    def __init__(
        self,
        account: Account,
        token: Callable[[], str],
        app_secret: Callable[[], str] | None = None,
    ) -> None:
        self._account = account
        self._token = token
        self._app_secret = app_secret

    def refusal(self, event: AdEvent, now: int) -> Reason | None:
        """Return why Meta would refuse the event: its time, its page, its user agent, its ids.

        It knows neither a visit without a page (``conversion``) nor a page without a user agent.
        """
        return next(self._faults(event, now), None)

    def group(self, event: AdEvent) -> Hashable:
        """Group by pixel; members by audience, and by whether they enter or leave it."""
        if event.audience is not None:
            return event.audience, event.member
        return self._account.pixels[event.site]

    def build_request(self, events: Sequence[AdEvent], now: int, nonce: str) -> Request:
        """Return the request for events of one group; needs neither ``now`` nor ``nonce``."""
        del now, nonce
        first = events[0]
        if first.audience is not None:
            method = "POST" if first.member else "DELETE"
            return self._request(method, f"{first.audience}/users", _members(events))
        content: dict[str, Any] = {"data": [self._page_view(event) for event in events]}
        if self._account.test_event_code is not None:
            content["test_event_code"] = self._account.test_event_code
        return self._request("POST", f"{self._account.pixels[first.site]}/events", content)

    def read_response(self, response: Response, count: int) -> Outcome:
        """Judge by the code in the body: the status says retry for a 400, or fault for a 500."""
        content = bodies.read(response.body)
        if "error" in content:
            return _failure(content["error"], response)
        received = content.get("events_received", content.get("num_received"))
        if received != count:  # among others a page in HTML, from a proxy on the way
            return Outcome(Verdict.RETRY, f"http_{response.status}")
        if content.get("num_invalid_entries"):
            # The others are members now, and may be made so again while the culprit is sought.
            return Outcome(Verdict.REFUSED, "num_invalid_entries")
        return Outcome(Verdict.DELIVERED)

    def removal(self, event: AdEvent) -> AdEvent | None:
        """Return the removal from the event's audience; None for a page.

        Meta can also take a visitor out of every audience at once: that would end memberships by
        other consents as well, and needs the account of the site.
        """
        return None if event.audience is None else leave(event, event.audience, {})

    def _faults(self, event: AdEvent, now: int) -> Iterator[Reason]:
        if not _well_formed(event.contact):
            yield Reason.BAD_IDENTIFIER
        if event.audience is None:
            if event.site not in self._account.pixels:
                yield Reason.NO_TARGET
            yield from _page_faults(event, now)
        elif not _NUMBER.fullmatch(event.audience):
            yield Reason.NO_TARGET
        elif not event.visitor:
            yield Reason.NO_IDENTIFIER

    def _page_view(self, event: AdEvent) -> dict[str, Any]:
        person = {key: [value] for key, value in _hashes(event.contact).items()}
        limited = self._account.limited_data_use
        view = {
            "event_name": "PageView",
            "event_time": event.occurred_at // 1000,
            "event_id": event.event_id,
            "action_source": "website",
            "event_source_url": event.page,
            "user_data": {**person, "client_user_agent": event.user_agent, **_ids(event)},
            "opt_out": self._account.opt_out,
            "data_processing_options": ["LDU"] if limited else [],  # [] says: not limited
        }
        if limited:
            view["data_processing_options_country"], view["data_processing_options_state"] = limited
        return view

    def _request(self, method: str, path: str, content: Mapping[str, Any]) -> Request:
        token, proof = self._token(), {}
        if self._app_secret is not None:
            digest = hmac.new(self._app_secret().encode(), token.encode(), sha256).hexdigest()
            proof = {"appsecret_proof": digest}
        return Request(
            method,
            f"{self._account.base_url}/{self._account.version}/{path}",
            bodies.written(content),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            proof,
        )


def _page_faults(event: AdEvent, now: int) -> Iterator[Reason]:
    ids = _ids(event)
    if event.page is None:
        yield Reason.NO_TARGET
    elif not _PAGE.fullmatch(event.page):
        yield Reason.BAD_NAME
    if event.occurred_at < now - OLDEST:
        yield Reason.TOO_OLD
    if event.occurred_at > now + NEWEST:
        yield Reason.TOO_NEW
    if not (event.user_agent and event.user_agent.strip()):
        yield Reason.NO_USER_AGENT
    if not ids and not {"em", "ph"} & _hashes(event.contact).keys():
        yield Reason.NO_IDENTIFIER
    if not all(_FB[name].fullmatch(value) for name, value in ids.items()):
        yield Reason.BAD_IDENTIFIER


def _ids(event: AdEvent) -> dict[str, str]:
    return {name: event.ids[name] for name in IDS["meta"] if event.ids.get(name)}


def _members(events: Sequence[AdEvent]) -> dict[str, Any]:
    """Return members as a table; a column for each thing known of any of them."""
    people = [_hashes(event.contact) for event in events]
    keys = [key for key in _KEYS if any(key in person for person in people)]
    rows = [
        [hashing.member(event.site, event.visitor), *(person.get(key, "") for key in keys)]
        for event, person in zip(events, people, strict=True)
    ]
    return {"payload": {"schema": ["EXTERN_ID", *(_KEYS[key] for key in keys)], "data": rows}}


def _hashes(contact: Contact | None) -> dict[str, str]:
    return {key: hashing.hashed(value) for key, value in _normal(contact).items() if value}


def _normal(contact: Contact | None) -> dict[str, str]:
    """Return what is known of a person as Meta wants it before it is hashed; blank where not.

    Names in lower case without punctuation, postal codes without spaces and dashes (of the United
    States, the first five digits). A hash passes through unchanged.
    """
    if contact is None:
        return {}
    country = (contact.country or "").strip().lower()
    postal_code = (contact.postal_code or "").lower()
    if country == "us":
        postal_code = postal_code.partition("-")[0]
    return {
        "em": hashing.email(contact.email or ""),
        "ph": hashing.phone(contact.phone or "", plus=False),
        "fn": hashing.name(contact.first_name or ""),
        "ln": hashing.name(contact.last_name or ""),
        "zp": re.sub(r"[\s-]", "", postal_code),
        "country": country,
    }


def _well_formed(contact: Contact | None) -> bool:
    if contact is None:
        return True
    normal = _normal(contact)
    given = {"em": contact.email, "ph": contact.phone, "country": contact.country}
    return all(shape.fullmatch(normal[key]) for key, shape in _SHAPES.items() if given[key])


def _failure(error: object, response: Response) -> Outcome:
    fields = error if isinstance(error, dict) else {}
    code, subcode = _integer(fields.get("code")), _integer(fields.get("error_subcode"))
    verdict = Verdict.STOPPED if (code, subcode) in _STOPS else _VERDICTS.get(code)
    if verdict is None:
        passing = fields.get("is_transient") is True or response.status >= 500
        verdict = Verdict.RETRY if passing else Verdict.REFUSED
    wait = _wait(response.headers) if verdict == Verdict.THROTTLED else None
    return Outcome(verdict, f"{code}/{subcode}" if subcode else str(code), wait=wait)


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until access is regained, which Meta tells in minutes for each account."""
    usage = bodies.read(headers.get("x-business-use-case-usage", ""))
    minutes = [
        bodies.wait(each.get("estimated_time_to_regain_access")) or 0.0
        for uses in usage.values()
        for each in bodies.objects(uses)
    ]
    return bodies.wait(60 * max(minutes, default=0.0)) or None


def _integer(value: object) -> int:
    """Return a code, 0 for what cannot be one: a longer number may be that of a telephone."""
    return value if isinstance(value, int) and abs(value) < 10**8 else 0
