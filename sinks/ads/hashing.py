"""Normalise and hash what identifies a person, exactly as each provider asks."""

import re
from hashlib import sha256
from unicodedata import category

# What is normal, or hashed already.
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+|[0-9a-f]{64}")
PHONE = re.compile(r"\+?[1-9][0-9]{6,14}|[0-9a-fA-F]{64}")

_HASHED = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_GMAIL = ("gmail.com", "googlemail.com")


def hashed(text: str) -> str:
    """Return the SHA-256 in hexadecimal; what is one already is not hashed again."""
    if _HASHED.fullmatch(text):
        return text.lower()
    return sha256(text.encode()).hexdigest()


def member(site: str, visitor: str) -> str:
    """Return the pseudonym under which an audience has a visitor of one site, and of no other."""
    return sha256(f"{site}|{visitor}".encode()).hexdigest()


def email(text: str, *, spaces: bool = True, gmail: bool = False) -> str:
    """Trim and lower-case. ``spaces=False`` takes inner whitespace out as well.

    ``gmail=True`` is Google's rule: no dots and no ``+suffix`` in a Gmail address, which are the
    same mailbox there. The other providers keep them.
    """
    text = text.strip().lower()
    if not spaces:
        text = re.sub(r"\s+", "", text)
    local, at, domain = text.rpartition("@")
    if gmail and domain in _GMAIL:
        local = local.partition("+")[0].replace(".", "")
    return f"{local}{at}{domain}"


def phone(text: str, *, plus: bool) -> str:
    """Return an international number as E.164, with or without its ``+``; a hash as it is."""
    if _HASHED.fullmatch(text):
        return text
    digits = re.sub(r"[^0-9]", "", text).lstrip("0")
    return f"+{digits}" if plus else digits


def name(text: str) -> str:
    """Return a name in lower case, without punctuation and outer whitespace."""
    return "".join(each for each in text.lower() if category(each)[0] != "P").strip()
