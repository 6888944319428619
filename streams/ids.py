"""Ids that are made of what they are the id of, so that whoever makes them again makes the same."""

from uuid import UUID, uuid5

NAMESPACE = UUID("5b1f6a0e-6f0c-4a59-9b43-0d2f6d3a6f11")


def made_id(*parts: str) -> str:
    """Return what is the same each time it is made of the same parts, and of no others."""
    return str(uuid5(NAMESPACE, "|".join(parts)))
