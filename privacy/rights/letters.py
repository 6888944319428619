"""What letters say to people who asked (Art. 12(1), (3) and (4) GDPR; S17 to S24).

Fixed words in the person's language, and what the policy says of the controller and the authority:
every letter names where to complain (S24).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from privacy.policy import Policy
from privacy.rights.plan import RefusalReason, Refused, Verdict
from privacy.rights.request import Right
from privacy.rights.words import words


@dataclass(frozen=True, slots=True)
class Letter:
    """What the mail system sends."""

    subject: str = field(repr=False)
    text: str = field(repr=False)


def confirm(policy: Policy, right: Right, language: str, *, link: str, until: int) -> Letter:
    """Return the letter that asks if a request is the person's; ``until``: ms since 1970."""
    said = words(language).letters
    text = said.confirm.format(
        right=words(language).rights[right],
        controller=policy.controller.name,
        until=moment(until),
        link=link,
    )
    return _letter(policy, language, said.confirm_subject, [text])


def extended(policy: Policy, right: Right, language: str, *, deadline: int, because: str) -> Letter:
    """Return the letter that tells of a later deadline, ms since 1970, and its reason."""
    said = words(language).letters
    text = said.extended.format(
        right=words(language).rights[right], deadline=moment(deadline), because=because
    )
    return _letter(policy, language, said.extended_subject, [text])


def lifting(policy: Policy, language: str, *, at: int) -> Letter:
    """Return the notice that a restriction is to be lifted at ``at``, ms since 1970 (S21)."""
    said = words(language).letters
    return _letter(policy, language, said.lifting_subject, [said.lifting.format(at=moment(at))])


def answered(
    policy: Policy,
    right: Right,
    language: str,
    verdict: Verdict,
    refused: Sequence[Refused],
    *,
    silent: Sequence[str] = (),
    keeping: Sequence[str] = (),
    link: str | None,
    until: int,
) -> Letter:
    """Return the answer. ``link`` leads to its file, if there is one, ``until`` so many ms.

    ``silent`` have not confirmed that they did their part (Art. 19); ``keeping`` cannot. Titles.
    """
    said = words(language).letters
    parts = list(_decided(policy, right, language, verdict, refused))
    if verdict != Verdict.REFUSED:
        parts += [
            sentence.format(who=", ".join(who))
            for sentence, who in ((said.silent, silent), (said.keeping, keeping))
            if who
        ]
    if link is not None:
        parts.append(said.file.format(link=link, until=moment(until)))
    return _letter(policy, language, said.answered_subject[verdict], parts)


def complaint(policy: Policy, language: str) -> str:
    """Return where people may complain: to our authority, or to that of their choice (Art. 77)."""
    said, authority = words(language).letters, policy.authority
    lines = [said.complaint]
    if authority is not None:
        known = authority.name, authority.address, authority.phone, authority.email
        lines += [each for each in (*known, authority.website) if each is not None]
        lines.append(authority.complaint)
    return "\n".join([*lines, said.remedy])


def moment(at: int) -> str:
    """Return milliseconds since 1970 as people of all languages read them."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _decided(
    policy: Policy, right: Right, language: str, verdict: Verdict, refused: Sequence[Refused]
) -> Iterator[str]:
    said = words(language).letters
    if verdict != Verdict.REFUSED:
        yield said.done[right]
    if refused:
        lines = [said.partly if verdict == Verdict.PARTLY else said.refused]
        for each in refused:
            service = policy.services.get(each.what)
            of = "" if service is None else f"{service.title}: "
            lines.append(f"- {of}{said.because[each.reason]}{_grounds(policy, each)}")
        yield "\n".join(lines)


def _grounds(policy: Policy, refused: Refused) -> str:
    """Return the controller's grounds, which override an objection, as the policy has them."""
    if policy.rights is None or refused.reason is not RefusalReason.COMPELLING_GROUNDS:
        return ""
    return f" {policy.rights.compelling.get(refused.what, '')}".rstrip()


def _letter(policy: Policy, language: str, subject: str, parts: Sequence[str]) -> Letter:
    said, by = words(language).letters, policy.controller
    closing = said.closing.format(controller=by.name, contact=by.contact)
    text = "\n\n".join([said.greeting, *parts, complaint(policy, language), closing])
    return Letter(subject.format(controller=by.name), text + "\n")
