"""The end of a profile with the consent to it (S23), in the transaction that records the no."""

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import Connection

from privacy.consent import ERASURE, Decision
from privacy.profile import pseudonym_of
from sinks.ledger import profiles
from sinks.ledger.consents import ConsentChange


@dataclass(frozen=True, slots=True)
class ProfilesByConsent:
    """Profiles that stand by the consent to one purpose. ``key`` makes their pseudonyms."""

    purpose: str
    key: bytes = field(repr=False)

    def ends(self, change: ConsentChange) -> bool:
        """Tell whether a change takes away what a profile stands by, whatever stood before."""
        if change.purpose == ERASURE:
            return True
        return change.purpose == self.purpose and change.decision != Decision.GIVEN

    def erase(self, connection: Connection, visitors: Collection[bytes]) -> None:
        """Delete what is held of visitors, by their keys on the topics, if anything is."""
        profiles.erase(connection, {pseudonym_of(self.key, each) for each in visitors})
