"""What entrances tell of requests, for who looks for attacks (S8): a token, and no address."""

from typing import Literal

from privacy.abuse import reads_path
from privacy.pseudonym import access_id, address_token
from privacy.urls import clean_page
from schemas.codec import encode
from sinks.publish import Message
from sinks.salts import ADDRESSES, Salts
from streams.settings import Settings

TOPIC = "access-log"
METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}
)
UNREADABLE = "/:unreadable"


class Accesses:
    """Makes messages of the access log. ``source``: who tells of the requests."""

    def __init__(self, settings: Settings, source: Literal["collector", "log"]) -> None:
        self.topic = settings.topic(TOPIC)
        self.salts = Salts.under(settings.data_dir, ADDRESSES)
        self._source = source

    def message(
        self,
        request_id: str,
        *,
        at: int,
        site: str,
        address: str | None,
        method: str,
        path: str,
        status: int,
        now: int,
    ) -> Message:
        """Return what is told of a request that was answered ``at``, told ``now`` (ms since 1970).

        Neither its id nor what was read tells which event it was: the id is made anew, and the
        page is left out where no rule looks at it. Raise SaltsUnavailableError when there is no
        salt to be had, ValueError for what is no address.
        """
        salt = self.salts.current(now)
        token = None if address is None else address_token(salt, address)
        page = page_of(path)
        record = {
            "id": access_id(salt, request_id),
            "at": at,
            "site": site,
            "token": token,
            "method": method if method in METHODS else "OTHER",
            "path": page if reads_path(method, page, status) else "",
            "status": status,
            "source": self._source,
        }
        return Message((token or site).encode(), encode("access", record))

    def close(self) -> None:
        """Let go of the salts."""
        self.salts.close()


def page_of(path: str) -> str:
    """Return which page was asked for, cleaned as pages are, without any parameter."""
    return clean_page(path, frozenset()) or UNREADABLE
