"""What a request does to a visitor's profile: it is erased or corrected (S19, S20)."""

from sqlalchemy import Connection

from privacy.durations import DAY_MS
from privacy.policy import Profiles
from privacy.profile import pseudonym
from privacy.rights.plan import Act
from privacy.rights.request import INTERESTS
from sinks.ledger import profiles
from streams.rights.doing import Doing, Done, Handlers


class ProfileSteps:
    """The steps about profiles. ``key`` makes their pseudonyms."""

    def __init__(self, rules: Profiles, key: bytes) -> None:
        self._rules = rules
        self._key = key

    def handlers(self) -> Handlers:
        """Return what does each act."""
        return {Act.ERASE_PROFILE: self._erase, Act.CORRECT_PROFILE: self._correct}

    def _erase(self, connection: Connection, doing: Doing) -> Done:
        """Delete the profile. Late events make no new one: the consent to it is over."""
        whose = self._whose(doing)
        erased = 0 if whose is None else profiles.erase(connection, [whose])
        return Done("profile erased" if erased else "no profile was held")

    def _correct(self, connection: Connection, doing: Doing) -> Done:
        """Put in and take out interests; names that the policy does not know are left out."""
        said = doing.asked.corrections.get(INTERESTS, "")
        named = {each.strip() for each in said.split(",")} - {""}
        wanted = named & self._rules.interests.keys()
        whose = self._whose(doing)
        if whose is None or not profiles.correct(connection, whose, wanted, doing.at // DAY_MS):
            return Done("no profile was held")
        unknown = len(named) - len(wanted)
        return Done(f"interests corrected, {unknown} unknown" if unknown else "interests corrected")

    def _whose(self, doing: Doing) -> str | None:
        site, cookie_id = doing.asked.site, doing.asked.cookie_id
        return None if site is None or cookie_id is None else pseudonym(self._key, site, cookie_id)
