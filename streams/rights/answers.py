"""Steps that make the file a person fetches: all that is held, a portable copy, or a certificate.

The file is sealed with a key that only the token of the answer makes (Art. 15, 17 and 20 GDPR).
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from privacy.consent import RESERVED
from privacy.durations import DAY_MS
from privacy.links import answer_id
from privacy.policy import Policy
from privacy.rights.explain import explain
from privacy.rights.letters import complaint, moment
from privacy.rights.plan import Act, is_portable
from privacy.rights.portable import Choice, Submission, portable
from privacy.rights.render import data, page, tables
from sinks.keys.answers import seal_answer
from sinks.ledger import answers, cases, consents, deletion, requests
from sinks.ledger.answers import Answer
from sinks.ledger.consents import Visitor
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer
from streams.deletion.certify import signed
from streams.rights.copying import Copier, when
from streams.rights.doing import Doing, Done, Handlers, Outsides
from streams.rights.gather import visitor_of
from streams.rights.recipients import keeping, silent

ERASURE_FORMAT: Final = "lethe-erasure/1"


class AnswerActs:
    """Makes files. ``signer`` returns the key of certificates, or raises SigningError."""

    def __init__(
        self,
        policy: Policy,
        ledger: Ledger,
        copier: Copier,
        signer: Callable[[], Signer],
    ) -> None:
        if policy.rights is None:
            raise ValueError("the policy has no rights")
        self._policy = policy
        self._expires_ms = policy.rights.answer_days * DAY_MS
        self._ledger = ledger
        self._copier = copier
        self._signer = signer

    def handlers(self) -> Handlers:
        """Return who does which act in the ledger."""
        return {Act.PORTABLE: self.portable, Act.CERTIFY: self.certify}

    def outside(self) -> Outsides:
        """Return who does which act outside: ClickHouse is asked for the visits of today."""
        return {Act.BUNDLE: self.bundle}

    def bundle(self, doing: Doing) -> Done:
        """Put all that is held and the explanations of it into one file (S18)."""
        with self._ledger.reading() as connection:
            copy = self._copier.everything(connection, doing.request, doing.asked)
        language = doing.request.language
        explained = explain(self._policy, copy, language)
        files = {
            "answer.html": page(copy, explained, language, moment(doing.at)),
            "data.json": data(copy, explained, when(doing.at)),
            **{f"csv/{store}.csv": text for store, text in tables(copy)},
        }
        with self._ledger.transaction() as connection:
            self._put(connection, doing, "answer.zip", "application/zip", _zip(files))
        return Done(f"{sum(map(len, copy.rows.values()))} records copied")

    def portable(self, connection: Connection, doing: Doing) -> Done:
        """Put what the person gave into a signed file that others can read (S22)."""
        given, who = list(self._submissions(connection, doing)), visitor_of(doing.asked)
        chosen = who if doing.asked.service is None else None
        content = portable(
            given,
            [] if chosen is None else list(self._choices(connection, chosen)),
            [] if chosen is None else self._copier.interests(connection, chosen),
            controller=self._policy.controller.name,
            policy=self._policy.version,
            request_id=doing.request.request_id,
            made_at=when(doing.at),
        )
        self._put_signed(connection, doing, "portable.json", content, "copy")
        return Done(f"{len(given)} submissions copied")

    def certify(self, connection: Connection, doing: Doing) -> Done:
        """Put what was erased, with the certificate of each deletion, into a signed file (S20)."""
        steps = requests.steps(connection, doing.request.request_id)
        ended = [each.target for each in steps if each.act == Act.END_CASE]
        found = [each for each in (deletion.show(connection, name) for name in ended) if each]
        content = {
            "format": ERASURE_FORMAT,
            "controller": self._policy.controller.name,
            "policy": self._policy.version,
            "request_id": doing.request.request_id,
            "ground": doing.request.ground,
            "requested_at": when(doing.request.received_at),
            "completed_at": when(doing.at),
            "refused": [list(each) for each in doing.request.refused or ()],
            "steps": [
                {"act": each.act, "at": when(each.done_at), "outcome": each.outcome}
                for each in steps
                if each.done_at is not None
            ],
            "deletions": [
                {
                    "deletion_id": each.deletion.deletion_id,
                    "case_id": each.deletion.case_id,
                    "service": each.deletion.service,
                    "certificate": each.certificate,
                }
                for each in found
            ],
            # Who is known by a cookie alone gets this and no letter.
            "not_confirmed_by": silent(connection, self._policy, doing),
            "kept_by": keeping(connection, self._policy, doing),
            "complaint": complaint(self._policy, doing.request.language),
        }
        self._put_signed(connection, doing, "erasure.json", content, "certificate")
        return Done(f"{len(found)} deletions listed")

    def _submissions(self, connection: Connection, doing: Doing) -> Iterator[Submission]:
        subject, only = doing.request.subject, doing.asked.service
        if subject is None:
            return
        mine = [
            each
            for each in cases.of_subjects(connection, [subject])[subject]
            if only in {None, each.service}
            and is_portable(self._policy.services[each.service].legal_basis)
        ]
        opened = self._copier.opened(connection, mine)
        for each in mine:
            service = self._policy.services[each.service]
            yield Submission(
                case_id=each.case_id,
                service=each.service,
                title=service.title,
                legal_basis=service.legal_basis,
                received_at=when(each.received_at),
                titles={name: field.title for name, field in service.fields.items()},
                values=opened.get(each.case_id, {}),
            )

    def _choices(self, connection: Connection, who: Visitor) -> Iterator[Choice]:
        for each in consents.history(connection, *who):
            if each.purpose not in RESERVED:
                yield Choice(
                    site=each.site,
                    purpose=each.purpose,
                    decision=each.decision.value,
                    decided_at=when(each.occurred_at),
                    notice_id=each.notice_id,
                    notice_version=each.notice_version,
                    language=each.language,
                )

    def _put_signed(
        self, connection: Connection, doing: Doing, name: str, content: Mapping[str, Any], what: str
    ) -> None:
        whole = signed(content, self._signer(), what)
        text = json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
        self._put(connection, doing, name, "application/json", text.encode())

    def _put(
        self, connection: Connection, doing: Doing, name: str, media_type: str, content: bytes
    ) -> None:
        token = doing.asked.answer
        new = Answer(
            answer_id=answer_id(token),
            request_id=doing.request.request_id,
            name=name,
            media_type=media_type,
            sealed=seal_answer(token, content),
            made_at=doing.at,
            expires_at=doing.at + self._expires_ms,
        )
        answers.put(connection, new)


def _zip(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()
