"""The token in the link at the foot of each mail (S5; RFC 8058).

It names the service and the case of the subscription, is signed, and does not expire: a mail may be
years old. Whoever has it can take that subscriber off the list and nothing else.
"""

from typing import NamedTuple

from privacy.signed import Keys, sign, signed_words

KEPT = "a keyed hash of the address, so that nobody mails it again, until they subscribe themselves"
"""What stays of who unsubscribed, in plain words."""

_PURPOSE = "lethe-unsub"


class Subscription(NamedTuple):
    """Which subscription a token ends."""

    case_id: str
    service: str


def token(keys: Keys, case_id: str, service: str) -> str:
    """Return the token of a subscription, fit for a URL. Neither name has a dot."""
    return sign(keys, _PURPOSE, service, case_id)


def read(keys: Keys, text: str) -> Subscription | None:
    """Return what a token is for; None for one that no key of ours has signed."""
    match signed_words(keys, _PURPOSE, text):
        case (service, case_id):
            return Subscription(case_id, service)
    return None
