"""What city data can be wrong with."""


class GeoError(Exception):
    """City data that cannot be used. Says which file, why, and what to do about it."""
