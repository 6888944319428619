"""X: conversions and audience members, each in batches that are taken or refused whole (S14).

X is told which of its configured events happened, when and after which ad click: it takes no
event name, and no page from us. Its only privacy field (restricted data use, for the United
States) is not documented for conversions, so what has no consent is not sent. It cannot delete a
conversion; a member leaves an audience by the pseudonym that made it one.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from oauthlib.oauth1 import Client
from oauthlib.oauth1.rfc5849.parameters import prepare_headers
from oauthlib.oauth1.rfc5849.signature import (
    base_string_uri,
    normalize_parameters,
    sign_hmac_sha1_with_client,
    signature_base_string,
)

from privacy.ads import AdEvent
from privacy.outcome import Reason
from sinks.ads import bodies
from sinks.ads.contract import AtOnce, Limits, Outcome, Request, Response, Verdict, leave
from sinks.ads.hashing import EMAIL, PHONE, email, hashed, member, phone

HOSTS = frozenset({"ads-api.x.com"})
MINUTE = 60_000  # milliseconds
MAX_AHEAD = MINUTE  # clocks differ

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(r"[0-9a-z]{1,32}")
_EVENT = re.compile(r"(?:tw-(?P<pixel>[0-9a-z]{1,32})-)?[0-9a-z]{1,32}")
_CLICK = re.compile(r"[0-9A-Za-z_-]{1,128}")

_BY_CODE: Mapping[str, Verdict] = {"WEB_EVENT_TAG_NOT_FOUND": Verdict.REFUSED}
_BY_STATUS: Mapping[int, Verdict] = {
    400: Verdict.REFUSED,
    401: Verdict.UNAUTHORISED,  # signature, clock or token: a new signature may do
    408: Verdict.RETRY,  # CANCELLED_REQUEST
    413: Verdict.REFUSED,
    423: Verdict.RETRY,  # LOCK_ACQUISITION_TIMEOUT
    429: Verdict.THROTTLED,
    504: Verdict.UNCERTAIN,  # whoever gave up waiting does not know what became of it
}


@dataclass(frozen=True, slots=True)
class Account:
    """Where X is, and who we are there.

    ``pixels`` is each site's pixel; ``ads_account`` owns the audiences, None where there are none.
    ``max_age`` in milliseconds: X takes events of some age only and does not say of which.
    """

    pixels: Mapping[str, str]
    ads_account: str | None = None
    base_url: str = "https://ads-api.x.com"
    version: str = "12"
    max_age: int = 90 * 24 * 60 * MINUTE


@dataclass(frozen=True, slots=True)
class OAuth:
    """The four secrets that sign requests (OAuth 1.0a)."""

    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    token: str = field(repr=False)
    token_secret: str = field(repr=False)


class X(AtOnce):
    """The connector; see ``sinks.ads.contract.Connector``.

    ``oauth`` and ``pixel_token`` read secrets. Conversions go with the pixel's token where there
    is one; audiences need the signature. A conversion is an event's id in either spelling,
    ``o87ne`` or ``tw-o8z6j-o87ne``. ``conversion_id`` counts an event once between the pixel and
    this API, but not within this API as far as is documented.
    """

    name = "x"
    limits = Limits(
        events=500, body=5_000_000, requests_a_minute=1_500, events_a_quarter_hour=60_000
    )
    deduplicates = False
    keeps = "X keeps the conversions that it was told of: it offers no way to delete one."

    def __init__(
        self,
        account: Account,
        oauth: Callable[[], OAuth] | None = None,
        pixel_token: Callable[[], str] | None = None,
    ) -> None:
        if oauth is None and pixel_token is None:
            raise ValueError("X needs the four OAuth secrets or a pixel token")
        self._account = account
        self._oauth = oauth
        self._pixel_token = pixel_token

    def refusal(self, event: AdEvent, now: int) -> Reason | None:
        """Return why X would refuse the event; see ``Connector``."""
        if not self._has_target(event):
            return Reason.NO_TARGET
        if event.audience is not None:
            return None
        if event.occurred_at > now + MAX_AHEAD:
            return Reason.TOO_NEW
        if event.occurred_at < now - self._account.max_age:
            return Reason.TOO_OLD
        return _identifier_refusal(event)

    def group(self, event: AdEvent) -> Hashable:
        """Return the audience and whether it is entered, or the pixel of the event's site."""
        if event.audience is not None:
            return event.audience, event.member
        return self._account.pixels[event.site]

    def build_request(self, events: Sequence[AdEvent], now: int, nonce: str) -> Request:
        """Return the batch, an entry an event in their order; see ``Connector``."""
        account, first = self._account, events[0]
        if first.audience is None:
            path = f"measurement/conversions/{account.pixels[first.site]}"
            content: object = {"conversions": [_conversion(each) for each in events]}
        else:
            path = f"accounts/{account.ads_account}/custom_audiences/{first.audience}/users"
            content = [_operation(each) for each in events]
        url = f"{account.base_url}/{account.version}/{path}"
        if first.audience is None and self._pixel_token is not None:
            secret = {"X-Pixel-Token": self._pixel_token()}
        else:
            secret = self._sign(url, now, nonce)
        return Request(
            "POST",
            url,
            bodies.written(content),
            {"Content-Type": "application/json", **secret},
        )

    def read_response(self, response: Response, count: int) -> Outcome:
        """Judge by the first error's ``code``, then the status; see ``Connector``.

        Success is told by the counts. A 2xx without the right ``conversions_processed`` is
        UNCERTAIN; with the wrong ``success_count`` it is to be sent again, as X asks.
        """
        content = bodies.read(response.body)
        if 200 <= response.status < 300:
            return Outcome(_counted(content.get("data"), count), str(response.status))
        errors, at_places = bodies.objects(content.get("errors")), content.get("operation_errors")
        code = bodies.code(errors[0].get("code")) if errors else ""
        unknown = Verdict.RETRY if response.status >= 500 else Verdict.STOPPED
        return Outcome(
            _BY_CODE.get(code, _BY_STATUS.get(response.status, unknown)),
            code or str(response.status),
            tuple(place for place, each in enumerate(at_places[:count]) if each)
            if isinstance(at_places, list)
            else (),
            _wait(response.headers),
        )

    def removal(self, event: AdEvent) -> AdEvent | None:
        """Return the removal from the event's audience; None for a conversion."""
        return None if event.audience is None else leave(event, event.audience, {})

    def _has_target(self, event: AdEvent) -> bool:
        if event.audience is not None:
            owned = self._account.ads_account is not None and self._oauth is not None
            return owned and _ID.fullmatch(event.audience) is not None
        pixel = self._account.pixels.get(event.site)
        spelled = _EVENT.fullmatch(event.conversion or "")
        return pixel is not None and spelled is not None and spelled["pixel"] in {None, pixel}

    def _sign(self, url: str, now: int, nonce: str) -> dict[str, str]:
        """Return the Authorization header (RFC 5849). A JSON body is not part of what is signed.

        Step by step, as ``Client.sign`` logs what it signs.
        """
        if self._oauth is None:
            raise ValueError("an audience needs the four OAuth secrets")
        secrets = self._oauth()
        parameters = [
            ("oauth_consumer_key", secrets.consumer_key),
            ("oauth_nonce", nonce),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", str(now // 1000)),
            ("oauth_token", secrets.token),
            ("oauth_version", "1.0"),
        ]
        signed = sign_hmac_sha1_with_client(
            signature_base_string("POST", base_string_uri(url), normalize_parameters(parameters)),
            Client(
                secrets.consumer_key, secrets.consumer_secret, secrets.token, secrets.token_secret
            ),
        )
        return dict(prepare_headers([*parameters, ("oauth_signature", signed)]))


def _identifier_refusal(event: AdEvent) -> Reason | None:
    identifiers = _identifiers(event)
    shapes = {"twclid": _CLICK, "email": EMAIL, "phone": PHONE}
    if not identifiers:
        return Reason.NO_IDENTIFIER
    if not all(shapes[name].fullmatch(value) for name, value in identifiers.items()):
        return Reason.BAD_IDENTIFIER
    return None


def _identifiers(event: AdEvent) -> dict[str, str]:
    """Return what X may match by, normalised and not hashed yet."""
    identifiers = {}
    if click := event.ids.get("twclid"):
        identifiers["twclid"] = click
    if event.contact is not None and event.contact.email is not None:
        identifiers["email"] = email(event.contact.email)
    if event.contact is not None and event.contact.phone is not None:
        identifiers["phone"] = phone(event.contact.phone, plus=True)
    return identifiers


def _conversion(event: AdEvent) -> dict[str, object]:
    happened = _EPOCH + timedelta(milliseconds=event.occurred_at)
    names = {"twclid": "twclid", "email": "hashed_email", "phone": "hashed_phone_number"}
    return {
        "conversion_time": happened.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "event_id": event.conversion,
        "identifiers": [
            {names[name]: value if name == "twclid" else hashed(value)}
            for name, value in _identifiers(event).items()
        ],
        "conversion_id": event.event_id,
    }


def _operation(event: AdEvent) -> dict[str, object]:
    """Return one operation, so that its place is the event's.

    Only the pseudonym, which a removal can always repeat: what else came in would stay behind.
    """
    return {
        "operation_type": "Update" if event.member else "Delete",
        "params": {"users": [{"partner_user_id": [member(event.site, event.visitor)]}]},
    }


def _counted(data: object, count: int) -> Verdict:
    if isinstance(data, dict):
        if data.get("conversions_processed") == count:
            return Verdict.DELIVERED
        if "success_count" in data:
            right = data["success_count"] == data.get("total_count") == count
            return Verdict.DELIVERED if right else Verdict.RETRY
    return Verdict.UNCERTAIN


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the limit is reset, by X's own clock."""
    reset = headers.get("x-account-rate-limit-reset", headers.get("x-rate-limit-reset", ""))
    if not re.fullmatch("[0-9]{1,12}", reset):
        return None
    try:
        date = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):  # of a year, or an offset, that is none
        return None
    return bodies.wait(max(0.0, int(reset) - date))
