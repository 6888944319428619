"""Who a case is about, as processors know it: a keyed hash of the e-mail address.

It finds all cases of a person who exercises a right, and whoever has it alone learns nothing: the
key is secret, so that nobody can try addresses.
"""

import unicodedata
from hashlib import blake2b


def subject_id(key: bytes, email: str) -> str:
    """Return the id of the person with an address, 32 hexadecimal digits; one for all spellings.

    ``key`` is 32 secret bytes, the same for ever. Capitals tell nobody apart: the standard allows
    two mailboxes that differ in them (RFC 5321, 2.4), and nobody has them.
    """
    address = unicodedata.normalize("NFC", email.strip()).lower()
    return blake2b(address.encode(), digest_size=16, key=key, person=b"lethe-subject").hexdigest()
