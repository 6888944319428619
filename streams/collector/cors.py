"""Which web pages may send: exact origins, per site; no wildcard, no cookies.

A request without Origin comes from a server or a log shipper and needs none. A preflight does not
carry the key's header, so it passes for the origins of every site; the POST is then held to the
origins of the key's own site.
"""

from collections.abc import Mapping, Sequence


class Origins:
    """The allow-lists, ``site -> origins``."""

    def __init__(self, sites: Mapping[str, Sequence[str]]) -> None:
        self._of_site = {site: frozenset(origins) for site, origins in sites.items()}
        self._of_any = frozenset().union(*self._of_site.values())

    def allows(self, origin: str | None, site: str | None = None) -> bool:
        """Tell whether ``origin`` may send for ``site``, or for any site when that is unknown."""
        if origin is None:
            return True
        return origin in (self._of_any if site is None else self._of_site[site])


def preflight_headers(origin: str, methods: str) -> dict[str, str]:
    """Return what lets a page of an allowed origin send by ``methods``, with its key."""
    return {
        **response_headers(origin),
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Content-Type, X-Lethe-Key",
        "Access-Control-Max-Age": "600",
    }


def response_headers(origin: str) -> dict[str, str]:
    """Return what lets a page of an allowed origin read the answer."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Retry-After",
    }
