"""What entrances tell of requests, for who looks for attacks (S8): a token, and no address."""

import re
from dataclasses import asdict
from typing import Literal, NamedTuple

from privacy.abuse import Access, reads_path
from privacy.pseudonym import Salt, access_id, address_token
from privacy.urls import LONGEST_URL, clean_page
from schemas.codec import encode
from sinks.publish import Message
from sinks.salts import ADDRESSES, Salts
from streams.settings import Settings

TOPIC = "access-log"
METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}
)
UNREADABLE = "/:unreadable"

_PARAMETERS = re.compile("[?#]")


class Answered(NamedTuple):
    """What a server answered to whom: with a full address, and so for memory alone.

    ``at`` is in milliseconds since 1970; ``address`` is None where it is unknown; ``path`` is
    what was asked for, of any length, and empty where the request is none that can be read.
    """

    at: int
    address: str | None
    method: str
    path: str
    status: int


class Accesses:
    """Makes messages of the access log. ``source``: who tells of the requests."""

    def __init__(self, settings: Settings, source: Literal["collector", "log"]) -> None:
        self.topic = settings.topic(TOPIC)
        self.salts = Salts.under(settings.data_dir, ADDRESSES)
        self._source = source

    def message(self, request_id: str, answered: Answered, *, site: str, now: int) -> Message:
        """Return what is told ``now`` (ms since 1970) of a request that was answered.

        Neither its id nor what was read tells which event it was: the id is made anew, and the
        page is left out where no rule looks at it. Raise SaltsUnavailableError when there is no
        salt to be had.
        """
        salt = self.salts.current(now)
        told = access_of(salt, answered, site=site, now=now)
        record = asdict(told) | {"id": access_id(salt, request_id), "source": self._source}
        return Message((told.token or site).encode(), encode("access", record))

    def close(self) -> None:
        """Let go of the salts."""
        self.salts.close()


def access_of(salt: Salt, answered: Answered, *, site: str, now: int) -> Access:
    """Return what rules may know of a request; none is refused.

    What is no address, such as a host's name, has no token. Nothing was answered later than
    ``now`` (ms since 1970), whatever a server's clock says.
    """
    method, status = answered.method, answered.status
    page = _page_of(answered.path)
    return Access(
        at=min(answered.at, now),
        site=site,
        token=_token_of(salt, answered.address),
        method=method if method in METHODS else "OTHER",
        path=page if reads_path(method, page, status) else "",
        status=status,
    )


def _token_of(salt: Salt, address: str | None) -> str | None:
    try:
        return None if address is None else address_token(salt, address)
    except ValueError:
        return None


def _page_of(path: str) -> str:
    """Return which page was asked for, cleaned as pages are, without any parameter.

    Of one that is too long, what comes before the segment in which it becomes so: half a segment
    may be half an e-mail address, which nothing masks.
    """
    page = _PARAMETERS.split(path, maxsplit=1)[0]
    if len(page) > LONGEST_URL:
        page = page[: LONGEST_URL + 1].rpartition("/")[0]
    return clean_page(page, frozenset()) or UNREADABLE
