"""What is done about a request, in which order, and what is refused and why (S17 to S24).

A plan is a table's entry by right: each yields commands and refusals. Whatever is refused, the
person is answered, last.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from privacy.consent import Decision
from privacy.policy import Covers, ListKind, Policy
from privacy.rights.correction import correctable
from privacy.rights.held import Held, HeldCase
from privacy.rights.request import INTERESTS, Asked, Ground, Right


class Act(StrEnum):
    """One thing that is done about a request."""

    END_CASE = "end_case"
    SUPPRESS = "suppress"
    UNSUBSCRIBE = "unsubscribe"
    WITHDRAW_FURTHER = "withdraw_further"
    HOLD_SUBJECT = "hold_subject"
    LIFT_SUBJECT = "lift_subject"
    CORRECT_CASE = "correct_case"
    WITHDRAW_PURPOSE = "withdraw_purpose"
    OBJECT_PURPOSE = "object_purpose"
    HOLD_VISITOR = "hold_visitor"
    LIFT_VISITOR = "lift_visitor"
    ERASE_VISITOR = "erase_visitor"
    FORGET_VISITOR = "forget_visitor"
    ERASE_PROFILE = "erase_profile"
    CORRECT_PROFILE = "correct_profile"
    DEMAND_CORRECTION = "demand_correction"
    DEMAND_HOLD = "demand_hold"
    DEMAND_LIFT = "demand_lift"
    DEMAND_EXPORT = "demand_export"
    AWAIT_DELETIONS = "await_deletions"
    AWAIT_DEMANDS = "await_demands"
    AWAIT_REMOVALS = "await_removals"
    NOTIFY_LIFTING = "notify_lifting"
    BUNDLE = "bundle"
    PORTABLE = "portable"
    TRANSFER = "transfer"
    CERTIFY = "certify"
    ANSWER = "answer"


class RefusalReason(StrEnum):
    """Why something is refused. ``ARTICLES`` has the law that allows it."""

    CLAIM = "claim"
    IDENTITY_NOT_SHOWN = "identity_not_shown"
    UNFOUNDED = "unfounded"
    EXCESSIVE = "excessive"
    COMPELLING_GROUNDS = "compelling_grounds"
    NOT_RESTRICTED = "not_restricted"
    NOTHING_TO_CORRECT = "nothing_to_correct"
    NOT_PORTABLE = "not_portable"


ARTICLES: Mapping[RefusalReason, str] = {
    RefusalReason.CLAIM: "Art. 17(3)(e) GDPR",
    RefusalReason.IDENTITY_NOT_SHOWN: "Art. 12(2) and 12(6) GDPR",
    RefusalReason.UNFOUNDED: "Art. 12(5) GDPR",
    RefusalReason.EXCESSIVE: "Art. 12(5) GDPR",
    RefusalReason.COMPELLING_GROUNDS: "Art. 21(1) GDPR",
    RefusalReason.NOT_RESTRICTED: "Art. 18 GDPR",
    RefusalReason.NOTHING_TO_CORRECT: "Art. 16 GDPR",
    RefusalReason.NOT_PORTABLE: "Art. 20(1) GDPR",
}


class Verdict(StrEnum):
    """How a request is decided."""

    GRANTED = "granted"
    PARTLY = "partly"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Command:
    """One act on one target: a case's id, a purpose, a list, or "" where there is but one."""

    act: Act
    target: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """What is refused: of a service, or "" for all that was asked."""

    what: str
    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class Plan:
    """Commands in order, each once; and what is refused.

    The last is ANSWER, but for a visitor who was erased: there the last trace goes later.
    """

    commands: tuple[Command, ...]
    refused: tuple[Refused, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether what was asked is done, in part or not at all."""
        if not self.refused:
            return Verdict.GRANTED
        return Verdict.PARTLY if len(self.commands) > 1 else Verdict.REFUSED


Steps = Iterator[Command | Refused]


def plan(asked: Asked, held: Held, policy: Policy) -> Plan:
    """Return what is done about a request whose person is known to have asked it.

    Nothing that a legal claim keeps is erased; nobody else's cases are in ``held``. An objection to
    direct marketing is never refused (Art. 21(3) GDPR).
    """
    steps = list(dict.fromkeys(_PLANS[asked.right](asked, held, policy)))
    commands = [*(each for each in steps if isinstance(each, Command)), Command(Act.ANSWER)]
    return Plan(
        tuple(sorted(commands, key=lambda each: _STAGES.get(each.act, 0))),
        tuple(each for each in steps if isinstance(each, Refused)),
    )


# What is done at once comes first: nothing of it waits for what others do.
_STAGES: Mapping[Act, int] = {
    Act.AWAIT_DEMANDS: 1,
    Act.AWAIT_REMOVALS: 1,
    Act.AWAIT_DELETIONS: 1,
    Act.BUNDLE: 2,
    Act.PORTABLE: 2,
    Act.TRANSFER: 3,
    Act.CERTIFY: 3,
    Act.ANSWER: 4,
    Act.FORGET_VISITOR: 5,  # a day later: late events are held back until then
}


def refuse(reason: RefusalReason) -> Plan:
    """Return the plan of a request that is refused as a whole: it is answered."""
    return Plan((Command(Act.ANSWER),), (Refused("", reason),))


def _access(asked: Asked, held: Held, policy: Policy) -> Steps:
    del asked
    yield from _demand(Act.DEMAND_EXPORT, held.cases, policy)
    yield Command(Act.BUNDLE)


def _rectification(asked: Asked, held: Held, policy: Policy) -> Steps:
    fields = set(asked.corrections) - {INTERESTS}
    cases = [each for each in held.cases if asked.service in {None, each.service}]
    found = {
        each.case_id: fields & correctable(policy.services[each.service], each.fields, asked)
        for each in cases
    }
    changed = [each for each in cases if found[each.case_id] or asked.statement is not None]
    yield from (Command(Act.CORRECT_CASE, each.case_id) for each in changed)
    if INTERESTS in asked.corrections and held.profile:
        yield Command(Act.CORRECT_PROFILE)
    nowhere = fields - {name for names in found.values() for name in names}
    no_profile = INTERESTS in asked.corrections and not held.profile
    if nowhere or no_profile or (asked.statement is not None and not cases):
        yield Refused("", RefusalReason.NOTHING_TO_CORRECT)
    yield from _demand(Act.DEMAND_CORRECTION, changed, policy)


def _erasure(asked: Asked, held: Held, policy: Policy) -> Steps:
    if held.subject:
        yield Command(Act.SUPPRESS)
    refused, objected = [], asked.ground == Ground.OBJECTED
    for case in held.cases:
        if reason := _kept(case, policy, objected=objected):
            refused.append(Refused(case.service, reason))
            continue
        if case.held is not None:  # or its holders would keep it
            yield from _demand(Act.DEMAND_LIFT, [case], policy)
        yield from _end(case)
    yield from refused
    yield from (Command(Act.UNSUBSCRIBE, each) for each in _left(held, policy, objected=objected))
    if held.visitor:
        yield Command(Act.ERASE_VISITOR)
    if held.profile:
        yield Command(Act.ERASE_PROFILE)
    if held.restricted and not refused:
        yield from _lift(held)
    if held.providers:
        yield Command(Act.AWAIT_REMOVALS)
    if held.visitor:
        yield Command(Act.FORGET_VISITOR)
    yield Command(Act.CERTIFY)


def _kept(case: HeldCase, policy: Policy, *, objected: bool) -> RefusalReason | None:
    """Return why a case is not ended; ``objected``: the ground is an objection (Art. 21(1))."""
    if case.claimed:
        return RefusalReason.CLAIM
    marketing = case.list_kind in _MARKETING
    if objected and not marketing and case.service in _compelling(policy):
        return RefusalReason.COMPELLING_GROUNDS
    return None


def _left(held: Held, policy: Policy, *, objected: bool) -> Iterator[str]:
    """Yield the lists that the person leaves: not one that goes on in spite of an objection."""
    for case in held.cases:
        kept = _kept(case, policy, objected=objected)
        if case.list is not None and kept != RefusalReason.COMPELLING_GROUNDS:
            yield case.list


def _compelling(policy: Policy) -> Mapping[str, str]:
    return {} if policy.rights is None else policy.rights.compelling


def _restriction(asked: Asked, held: Held, policy: Policy) -> Steps:
    del asked
    if held.subject:
        yield Command(Act.HOLD_SUBJECT)
    if held.visitor:
        yield Command(Act.HOLD_VISITOR)
    yield from _demand(Act.DEMAND_HOLD, held.cases, policy)


def _lifting(asked: Asked, held: Held, policy: Policy) -> Steps:
    del asked
    if not held.restricted:
        yield Refused("", RefusalReason.NOT_RESTRICTED)
        return
    yield from _lift(held)
    waiting = [each for each in held.cases if each.held is not None]
    yield from _demand(Act.DEMAND_LIFT, waiting, policy)


def _lift(held: Held) -> Steps:
    """Yield the end of a restriction, never without a notice before it (Art. 18(3))."""
    yield Command(Act.NOTIFY_LIFTING)
    if held.subject:
        yield Command(Act.LIFT_SUBJECT)
    if held.visitor:
        yield Command(Act.LIFT_VISITOR)


def _portability(asked: Asked, held: Held, policy: Policy) -> Steps:
    cases = [each for each in held.cases if asked.service in {None, each.service}]
    given = [each for each in cases if is_portable(each.legal_basis)]
    yield from (
        Refused(each.service, RefusalReason.NOT_PORTABLE) for each in cases if each not in given
    )
    something = bool(given or (held.visitor and asked.service is None))
    if something or not cases:
        yield Command(Act.PORTABLE)
    if something and asked.transfer_to is not None and policy.rights is not None:
        yield Command(Act.TRANSFER)


def is_portable(legal_basis: str) -> bool:
    """Tell whether data on this basis may be taken along: consent or contract (Art. 20(1)(a))."""
    return "6(1)(a)" in legal_basis or "6(1)(b)" in legal_basis


def _objection(asked: Asked, held: Held, policy: Policy) -> Steps:
    yield from _OBJECTIONS[asked.ground or Ground.LEGITIMATE_INTEREST](held, policy)


def _legitimate_interest(held: Held, policy: Policy) -> Steps:
    for case in held.cases:
        if not _is_interest(case.legal_basis):
            continue
        if reason := _kept(case, policy, objected=True):
            yield Refused(case.service, reason)
        else:
            yield from _end(case)
    for name in _left(held, policy, objected=True):
        if _is_interest(policy.lists[name].legal_basis):
            yield Command(Act.UNSUBSCRIBE, name)
    objected = [name for name, of in policy.purposes.items() if _is_interest(of.legal_basis)]
    yield from _object(held, policy, objected)


def _is_interest(legal_basis: str) -> bool:
    return "6(1)(f)" in legal_basis


def _profiling(held: Held, policy: Policy) -> Steps:
    yield from _object(held, policy, list(policy.covering(Covers.PROFILE)))


def _direct_marketing(held: Held, policy: Policy) -> Steps:
    """Yield the end of all marketing, and of the profiling for it (Art. 21(2) and (3))."""
    if held.subject:
        for name, of in policy.lists.items():
            if of.kind in _MARKETING:
                yield Command(Act.UNSUBSCRIBE, name)
    marketing = [*policy.covering(Covers.ADS), *policy.covering(Covers.PROFILE)]
    yield from _object(held, policy, marketing)


_MARKETING = frozenset({ListKind.NEWSLETTER, ListKind.ADVERTISING})

_OBJECTIONS: Mapping[Ground, Callable[[Held, Policy], Steps]] = {
    Ground.LEGITIMATE_INTEREST: _legitimate_interest,
    Ground.PROFILING: _profiling,
    Ground.DIRECT_MARKETING: _direct_marketing,
}


def _object(held: Held, policy: Policy, purposes: Sequence[str]) -> Steps:
    if held.visitor:
        yield from _end_purposes(Act.OBJECT_PURPOSE, purposes, held, policy)


def _end_purposes(act: Act, purposes: Sequence[str], held: Held, policy: Policy) -> Steps:
    """Yield ``act`` for purposes, and what follows where a profile or providers have the data."""
    yield from (Command(act, each) for each in purposes)
    covered = {policy.purposes[each].covers for each in purposes}
    if Covers.PROFILE in covered and held.profile:
        yield Command(Act.ERASE_PROFILE)
    if Covers.ADS in covered and held.providers:
        yield Command(Act.AWAIT_REMOVALS)


def _withdrawal(asked: Asked, held: Held, policy: Policy) -> Steps:
    """Yield the end of what stands on consent: of what was named, or else of all of it."""
    everything = not asked.purposes and asked.service is None
    for case in held.cases:
        if case.further and (everything or case.service == asked.service):
            yield Command(Act.WITHDRAW_FURTHER, case.case_id)
    if everything:
        yield from _consented(held, policy)
    purposes = asked.purposes or [
        name
        for name, decision in held.consents.items()
        if everything and decision == Decision.GIVEN and name in policy.purposes
    ]
    if held.visitor:
        yield from _end_purposes(Act.WITHDRAW_PURPOSE, purposes, held, policy)


def _consented(held: Held, policy: Policy) -> Steps:
    """Yield the end of lists and cases that stand on consent."""
    for case in held.cases:
        if case.list is not None and "6(1)(a)" in policy.lists[case.list].legal_basis:
            yield Command(Act.UNSUBSCRIBE, case.list)
        elif _is_consent(case.legal_basis) and case.claimed:
            yield Refused(case.service, RefusalReason.CLAIM)
        elif _is_consent(case.legal_basis):
            yield from _end(case)


def _is_consent(legal_basis: str) -> bool:
    """Tell whether nothing but consent is left to stand on once it is withdrawn."""
    return "6(1)(a)" in legal_basis and not re.search(r"6\(1\)\([b-f]\)", legal_basis)


def _end(case: HeldCase) -> Steps:
    yield Command(Act.END_CASE, case.case_id)
    yield Command(Act.AWAIT_DELETIONS)


def _demand(act: Act, cases: Sequence[HeldCase], policy: Policy) -> Steps:
    """Yield a demand for each case that holders outside have, and the wait for their answers."""
    told = [each for each in cases if policy.holders_of(each.service)]
    yield from (Command(act, each.case_id) for each in told)
    if told:
        yield Command(Act.AWAIT_DEMANDS)


_PLANS: Mapping[Right, Callable[[Asked, Held, Policy], Steps]] = {
    Right.ACCESS: _access,
    Right.RECTIFICATION: _rectification,
    Right.ERASURE: _erasure,
    Right.RESTRICTION: _restriction,
    Right.LIFTING: _lifting,
    Right.PORTABILITY: _portability,
    Right.OBJECTION: _objection,
    Right.WITHDRAWAL: _withdrawal,
}
