"""What a visitor of one site chose, and what may be done on the strength of it (S14, S15, S23).

A change counts from its offset in ``consent-changes``, never from a clock: its **epoch** is its
offset plus one, so that it grows with each change of a visitor and anyone who reads the topic
finds the same one. An event carries the epoch it was collected under. It may be used while the
decision it was collected under still stands: given before it, and not changed since.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from privacy.outcome import Reason


class Decision(StrEnum):
    """What a visitor decided about one purpose."""

    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"


class Mode(StrEnum):
    """Whether a purpose needs a yes, or bears only a no."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"


class Answer(StrEnum):
    """What a site is told about one purpose."""

    YES = "yes"
    NO = "no"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Change:
    """One decision as it lies on the topic. ``id`` is the sender's; a retry carries it again."""

    id: str
    purpose: str
    decision: Decision
    epoch: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The decision in force about one purpose, the epoch it began with, and its change's id."""

    decision: Decision
    since: int
    change: str


@dataclass(frozen=True, slots=True)
class Consent:
    """All that one visitor of one site decided. ``NOTHING`` is a visitor nobody asked.

    ``spent`` names consents that are over (``once``): one of them that arrives again, however
    late, is a duplicate and gives nothing.
    """

    epoch: int = 0
    standings: Mapping[str, Standing] = field(default_factory=dict)
    spent: frozenset[str] = frozenset()


NOTHING = Consent()

RESTRICTION = "restriction"
ERASURE = "erasure"
RESERVED = {RESTRICTION: Reason.RESTRICTED, ERASURE: Reason.ERASED}
"""Purposes that no policy names and no entrance takes: rights of the person that are in force.

``GIVEN`` is in force, ``WITHDRAWN`` over. Each with the reason why nothing is done meanwhile.
"""


def epoch_of(offset: int) -> int:
    """Return the epoch of the change at ``offset`` of its partition."""
    return offset + 1


def once(purpose: str, change: str) -> str:
    """Return what names one consent: a sender may give the changes of one click one id."""
    return f"{purpose}/{change}"


def apply(consent: Consent, change: Change) -> Consent:
    """Return what is in force after ``change``; the same object when it changes nothing.

    A change that was applied before, by its epoch or as the retry of a consent that is over,
    changes nothing; a no always counts. One that repeats the decision in force keeps its beginning.
    Once an erasure is over, nothing of what was decided is left (S20).
    """
    if change.epoch <= consent.epoch:
        return consent
    if change.decision == Decision.GIVEN and once(change.purpose, change.id) in consent.spent:
        return consent
    if is_forgetting(change.purpose, change.decision):
        return Consent(change.epoch)
    before = consent.standings.get(change.purpose)
    if before is not None and before.decision == change.decision:
        return Consent(change.epoch, consent.standings, consent.spent)
    spent = consent.spent
    if before is not None and before.decision == Decision.GIVEN:
        spent |= {once(change.purpose, before.change)}
    standing = Standing(change.decision, change.epoch, change.id)
    return Consent(change.epoch, {**consent.standings, change.purpose: standing}, spent)


def deny(consent: Consent, purposes: Iterable[str], epoch: int) -> Consent:
    """Return what is in force after a change that cannot be read: it may have been a no to any.

    A restriction or an erasure stays: to lift one takes a change that can be read.
    """
    if epoch <= consent.epoch:
        return consent
    spent = {
        once(purpose, each.change)
        for purpose, each in consent.standings.items()
        if each.decision == Decision.GIVEN and purpose not in RESERVED
    }
    standings = {
        purpose: Standing(Decision.WITHDRAWN, epoch, "")
        for purpose in {*purposes, *consent.standings} - RESERVED.keys()
    } | {name: each for name, each in consent.standings.items() if name in RESERVED}
    return Consent(epoch, standings, consent.spent | spent)


def is_forgetting(purpose: str, decision: Decision) -> bool:
    """Tell whether a change ends an erasure: from then on the visitor is nobody's again."""
    return purpose == ERASURE and decision != Decision.GIVEN


def withheld(consent: Consent) -> Reason | None:
    """Return which right forbids to use anything of a visitor, whatever they consented to."""
    for purpose, reason in RESERVED.items():
        standing = consent.standings.get(purpose)
        if standing is not None and standing.decision == Decision.GIVEN:
            return reason
    return None


def answer(mode: Mode, standing: Standing | None) -> Answer:
    """Return whether a purpose may be served. Unknown is ``ASK``, or yes where only a no counts."""
    if standing is None:
        return Answer.ASK if mode == Mode.OPT_IN else Answer.YES
    return Answer.YES if standing.decision == Decision.GIVEN else Answer.NO


def refusal(consent: Consent, purpose: str, carried: int | None) -> Reason | None:
    """Return why an event collected under epoch ``carried`` may not be used for an opt-in purpose.

    None: it may. A consent given after the event was collected releases nothing (no retroactive
    grant), and an epoch from the future is nobody's.
    """
    if (reason := withheld(consent)) is not None:
        return reason
    standing = consent.standings.get(purpose)
    if carried is None:
        return Reason.ADS_WITHOUT_CONSENT
    if standing is None:
        return Reason.CONSENT_UNKNOWN
    if standing.decision != Decision.GIVEN:
        return Reason.CONSENT_WITHDRAWN
    if not standing.since <= carried <= consent.epoch:
        return Reason.CONSENT_OF_ANOTHER_TIME
    return None
