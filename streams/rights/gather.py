"""What is held of those who ask, as far as planning must know: no personal values (S17 to S24)."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from privacy.consent import RESERVED, Decision
from privacy.policy import Policy
from privacy.profile import pseudonym
from privacy.rights.held import Held, HeldCase
from privacy.rights.request import Asked
from sinks.ledger import cases, consents, holds, profiles, reached
from sinks.ledger.cases import Case
from sinks.ledger.consents import Visitor
from sinks.ledger.requests import Request

Asking = tuple[Request, Asked]


def visitor_of(asked: Asked) -> Visitor | None:
    """Return the site and cookie id that a request is about; None: about an address alone."""
    if asked.site is None or asked.cookie_id is None:
        return None
    return asked.site, asked.cookie_id


class Gatherer:
    """Knows the policy, and the key of profiles' pseudonyms; None: there are no profiles."""

    def __init__(self, policy: Policy, profiles_key: bytes | None) -> None:
        self._policy = policy
        self._key = profiles_key

    def held(self, connection: Connection, asking: Sequence[Asking]) -> Mapping[str, Held]:
        """Return what is held, by request, for up to about a thousand of them."""
        subjects = {each.subject for each, _ in asking if each.subject is not None}
        visitors = {each for _, asked in asking if (each := visitor_of(asked)) is not None}
        of = cases.of_subjects(connection, subjects)
        claimed = holds.claims(connection, [each.case_id for some in of.values() for each in some])
        providers = reached.providers(connection, visitors)
        restricted = {*holds.of_subject(connection, subjects), *_restricted(connection, visitors)}
        found = {}
        for request, asked in asking:
            who, subject = visitor_of(asked), request.subject
            found[request.request_id] = Held(
                cases=tuple(self._case(each, claimed) for each in of.get(subject or "", ())),
                consents={} if who is None else _consents(connection, who),
                providers=() if who is None else providers[who],
                profile=who is not None and self._has_profile(connection, who),
                restricted=bool({subject, who} & restricted),
                visitor=who is not None,
                subject=subject is not None,
            )
        return found

    def _case(self, case: Case, claimed: Collection[str]) -> HeldCase:
        service = self._policy.services[case.service]
        list_ = None if service.list is None else self._policy.lists[service.list]
        return HeldCase(
            case_id=case.case_id,
            service=case.service,
            state=case.state,
            legal_basis=service.legal_basis,
            list=service.list,
            list_kind=None if list_ is None else list_.kind,
            further=case.further is not None,
            held=case.held,
            claimed=case.case_id in claimed,
            fields=frozenset(case.sealed),
        )

    def _has_profile(self, connection: Connection, visitor: Visitor) -> bool:
        if self._key is None:
            return False
        return profiles.of(connection, pseudonym(self._key, *visitor)) is not None


def _consents(connection: Connection, visitor: Visitor) -> Mapping[str, Decision]:
    standings = consents.standing(connection, *visitor).standings
    return {
        purpose: each.decision for purpose, each in standings.items() if purpose not in RESERVED
    }


def _restricted(connection: Connection, visitors: Collection[Visitor]) -> set[Visitor]:
    sites: dict[str, list[str]] = {}
    for site, cookie_id in visitors:
        sites.setdefault(site, []).append(cookie_id)
    return {
        (site, each)
        for site, some in sites.items()
        for each in holds.of_visitors(connection, site, some)
    }
