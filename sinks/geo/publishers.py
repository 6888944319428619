"""Who publishes a city database, and what its licence asks of us."""

from typing import NamedTuple


class Publisher(NamedTuple):
    """``attribution`` and ``link`` must show wherever results show."""

    name: str
    attribution: str
    link: str
    licence: str
    refuse_after_days: int | None = None


DB_IP = Publisher("DB-IP City Lite", "IP Geolocation by DB-IP", "https://db-ip.com", "CC BY 4.0")
# EULA 6(c): old releases are destroyed within 30 days of a new one.
GEOLITE2 = Publisher(
    "GeoLite2 City",
    "This product includes GeoLite Data created by MaxMind, available from https://www.maxmind.com",
    "https://www.maxmind.com",
    "GeoLite2 End User License Agreement",
    refuse_after_days=30,
)
GEOIP2 = Publisher(
    "GeoIP2 City", "IP geolocation by MaxMind", "https://www.maxmind.com", "GeoIP2 licence"
)
_KNOWN = {"geolite2": GEOLITE2, "geoip2": GEOIP2, "dbip": DB_IP}


def publisher_of(kind: str, file: str) -> Publisher:
    """Tell the publisher by the database's type, or by the file's name where the type is silent.

    The files of ip-location-db call themselves ``city ipv4`` whoever made the data. An unknown
    publisher is its own: its licence is between you and it.
    """
    for text in (kind, file):
        for mark, publisher in _KNOWN.items():
            if mark in text.casefold().replace("-", ""):
                return publisher
    return Publisher(kind, f"IP geolocation: {kind}", "", "see its publisher")
