"""Which city an address or a position lies in (S11), from tables built once and cached."""


class GeoError(Exception):
    """City data that cannot be used. Says which file, why, and what to do about it."""
