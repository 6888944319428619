"""LinkedIn: conversions and segment members, each in batches that are taken or refused whole (S14).

LinkedIn is told which of its conversion rules was met, when and after which ad click: it takes no
page, no event name and no consent, so what has no consent is not sent. It cannot delete a
conversion, and a member leaves a segment only by the e-mail address that made it one. Names, which
it takes unhashed only, stay behind.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from privacy.ads import AdEvent
from privacy.outcome import Reason
from sinks.ads import bodies
from sinks.ads.contract import AtOnce, Limits, Outcome, Request, Response, Verdict, leave
from sinks.ads.hashing import EMAIL, email, hashed

HOSTS = frozenset({"api.linkedin.com"})
MINUTE = 60_000  # milliseconds
# One older event has the whole request refused: a minute is kept for the way there.
MAX_AGE = 90 * 24 * 60 * MINUTE - MINUTE
MAX_AHEAD = MINUTE  # clocks differ

_HASHED_EMAIL = "SHA256_EMAIL"
_RULE_URN = "urn:lla:llaPartnerConversion:"
_RULE = re.compile(rf"(?:{_RULE_URN})?[0-9]{{1,19}}")
_SEGMENT = re.compile(r"[0-9]{1,19}")
# LinkedIn takes anything for a value and then matches nobody.
_CLICK = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_INDEX = re.compile(r"\bIndex: ([0-9]{1,6})\b")
_INDICES = re.compile(r"\bindices \[([0-9, ]*)\]")

_BY_CODE: Mapping[str, Verdict] = {
    "65600": Verdict.UNAUTHORISED,  # INVALID_ACCESS_TOKEN
    "65601": Verdict.STOPPED,  # REVOKED_ACCESS_TOKEN: no refresh brings it back
    "VERSION_MISSING": Verdict.STOPPED,
    "ACCESS_DENIED": Verdict.STOPPED,
}
_BY_STATUS: Mapping[int, Verdict] = {
    400: Verdict.REFUSED,
    401: Verdict.UNAUTHORISED,
    403: Verdict.REFUSED,  # a rule it cannot resolve, which it does not name
    404: Verdict.RETRY,  # a segment is not found in its first seconds
    413: Verdict.REFUSED,
    422: Verdict.REFUSED,
    429: Verdict.THROTTLED,
    504: Verdict.UNCERTAIN,  # whoever gave up waiting does not know what became of it
}


@dataclass(frozen=True, slots=True)
class Account:
    """Where LinkedIn is, and its API version as YYYYMM, which is shut down about a year later."""

    base_url: str = "https://api.linkedin.com"
    version: str = "202608"


class LinkedIn(AtOnce):
    """The connector; see ``sinks.ads.contract.Connector``. ``token`` reads the OAuth 2 token.

    A conversion is a rule's id or its URN; an audience is a DMP segment's id, which takes hashed
    e-mail addresses and no click id. ``eventId`` counts an event once between the Insight Tag and
    this API, but not within this API as far as is documented.
    """

    name = "linkedin"
    limits = Limits(events=5_000, requests_a_minute=600, requests_a_day=300_000)
    deduplicates = False
    keeps = "LinkedIn keeps the conversions that it was told of: it offers no way to delete one."

    def __init__(self, account: Account, token: Callable[[], str]) -> None:
        self._account = account
        self._token = token

    def refusal(self, event: AdEvent, now: int) -> Reason | None:
        """Return why LinkedIn would refuse the event, or match nobody by it; see ``Connector``."""
        if event.audience is not None:
            segment = _SEGMENT.fullmatch(event.audience)
            return _identifier_refusal(event) if segment else Reason.NO_TARGET
        if event.conversion is None or not _RULE.fullmatch(event.conversion):
            return Reason.NO_TARGET
        if event.occurred_at > now + MAX_AHEAD:
            return Reason.TOO_NEW
        if event.occurred_at < now - MAX_AGE:
            return Reason.TOO_OLD
        return _identifier_refusal(event)

    def group(self, event: AdEvent) -> Hashable:
        """Group by segment, and by whether it is entered; conversions of any rule go together."""
        return event.audience, event.member

    def build_request(self, events: Sequence[AdEvent], now: int, nonce: str) -> Request:
        """Return the batch, an element an event in their order; see ``Connector``."""
        del now, nonce
        segment = events[0].audience
        path = "conversionEvents" if segment is None else f"dmpSegments/{segment}/users"
        element = _conversion if segment is None else _member
        return Request(
            "POST",
            f"{self._account.base_url}/rest/{path}",
            bodies.written({"elements": [element(each) for each in events]}),
            {
                "Authorization": f"Bearer {self._token()}",
                "Content-Type": "application/json",
                "LinkedIn-Version": self._account.version,
                "X-Restli-Protocol-Version": "2.0.0",
                "X-RestLi-Method": "BATCH_CREATE",
            },
        )

    def read_response(self, response: Response, count: int) -> Outcome:
        """Judge by ``serviceErrorCode``, ``code``, then the status; see ``Connector``.

        Of the message, which can echo identifiers, only the places in the batch are read. A 2xx
        says of each event what became of it; one that does not is UNCERTAIN.
        """
        content = bodies.read(response.body)
        if 200 <= response.status < 300:
            return _told(response.status, content.get("elements"), count)
        given = (bodies.code(str(content.get(name))) for name in ("serviceErrorCode", "code"))
        codes = [code for code in given if code]
        verdict = next((_BY_CODE[code] for code in codes if code in _BY_CODE), None)
        verdict = verdict or _by_status(response.status)
        return Outcome(
            verdict,
            next(iter(codes), str(response.status)),
            _guilty(content.get("message"), count) if verdict == Verdict.REFUSED else (),
            bodies.wait(response.headers.get("retry-after")),
        )

    def removal(self, event: AdEvent) -> AdEvent | None:
        """Return the removal from the event's segment by the address's hash, else None."""
        address = _address(event)
        if event.audience is None or address is None:
            return None
        return leave(event, event.audience, {_HASHED_EMAIL: hashed(address)})


def _identifier_refusal(event: AdEvent) -> Reason | None:
    click, address = _click(event), _address(event)
    if not click and not address:
        return Reason.NO_IDENTIFIER
    if (click and not _CLICK.fullmatch(click)) or (address and not EMAIL.fullmatch(address)):
        return Reason.BAD_IDENTIFIER
    return None


def _conversion(event: AdEvent) -> dict[str, object]:
    return {
        "conversion": _RULE_URN + (event.conversion or "").removeprefix(_RULE_URN),
        "conversionHappenedAt": event.occurred_at,
        "user": {"userIds": _user_ids(event)},
        "eventId": event.event_id,
    }


def _member(event: AdEvent) -> dict[str, object]:
    return {"action": "ADD" if event.member else "REMOVE", "userIds": _user_ids(event)}


def _user_ids(event: AdEvent) -> list[dict[str, str]]:
    ids = []
    if click := _click(event):
        ids.append({"idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": click})
    if address := _address(event):
        ids.append({"idType": _HASHED_EMAIL, "idValue": hashed(address)})
    return ids


def _click(event: AdEvent) -> str | None:
    return event.ids.get("li_fat_id") if event.audience is None else None


def _address(event: AdEvent) -> str | None:
    """Return the address, of one who leaves its hash."""
    if not event.member:
        return event.ids.get(_HASHED_EMAIL)
    if event.contact is None or event.contact.email is None:
        return None
    return email(event.contact.email, spaces=False)


def _by_status(status: int) -> Verdict:
    return _BY_STATUS.get(status, Verdict.RETRY if status >= 500 else Verdict.STOPPED)


def _told(status: int, elements: object, count: int) -> Outcome:
    """Judge each event by its own status; ``code`` is the first that is no success."""
    statuses = [each.get("status") for each in bodies.objects(elements)]
    each = tuple(map(_of_element, statuses))
    if len(each) != count:
        return Outcome(Verdict.UNCERTAIN, str(status))
    failed = [at for at, verdict in enumerate(each) if verdict != Verdict.DELIVERED]
    if not failed:
        return Outcome(Verdict.DELIVERED, str(status))
    code = bodies.code(str(statuses[failed[0]]))
    return Outcome(Verdict.UNCERTAIN, code or str(status), each=each)


def _of_element(status: object) -> Verdict:
    if not isinstance(status, int) or status < 100:
        return Verdict.UNCERTAIN
    return Verdict.DELIVERED if 200 <= status < 300 else _by_status(status)


def _guilty(message: object, count: int) -> tuple[int, ...]:
    if not isinstance(message, str):
        return ()
    named = [*_INDEX.findall(message)]
    for places in _INDICES.findall(message):
        named += re.findall("[0-9]{1,6}", places)
    return tuple(sorted({int(each) for each in named if int(each) < count}))
