"""Forms: checked by their service, sealed with a key of their own, and then a message (S1, S2).

A form is one case, whose id is made of the sender's idempotency key: sent again it is the same one.
Of what was filled in, nothing leaves this process but sealed.
"""

import asyncio
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import structlog
from aiohttp import web

from privacy.forms import NO_FILES, Form, enter, problems
from privacy.policy import Service
from privacy.subjects import subject_id
from schemas.codec import encode
from sinks.keys.keks import KeyStoreError
from sinks.keys.seal import VERSION, seal
from sinks.keys.vault import ErasedError, Vault
from sinks.ledger import keys
from sinks.ledger.ledger import UNUSABLE, Ledger
from sinks.publish import Message
from streams.collector.body import MOST_FAULTS
from streams.collector.refusal import Fault, Refusal, Why
from streams.ids import made_id

# A key nobody used: its form was not stored, and nobody sent that again. Twice as long as forms are
# on their topic, so that one which is sent again after a day still has its key there.
FORGET_AFTER_MS = 2 * 86_400_000
AT_ONCE = 1_000

_log = structlog.get_logger()


class Forms:
    """The services that people ask for with a form.

    ``subject_key`` returns the key of subjects' ids, or raises KeyStoreError.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        ledger: Ledger,
        vault: Vault,
        subject_key: Callable[[], bytes],
    ) -> None:
        self.services = services
        self._ledger = ledger
        self._vault = vault
        self._subject_key = subject_key
        self._looked_until = 0  # keys made before have a case, or are shredded

    def require_contract(self, service: str, body: Any) -> Form:
        """Return the form in a request's body; raise Refusal that names the fields and rules."""
        broken = islice(problems(self.services[service], body), MOST_FAULTS)
        if faults := [Fault(None, each) for each in broken]:
            raise Refusal(Why.CONTRACT, faults=faults)
        return enter(self.services[service], body)

    async def begin(
        self, form: Form, service: str, *, site: str, received_at: int, new_key: Callable[[], str]
    ) -> tuple[str, Message]:
        """Make the key of a form's case; return the case's id and what is to be published.

        ``received_at`` in milliseconds since 1970; ``new_key`` makes an idempotency key for a form
        that brings none. Raise Refusal when the case was deleted, or no key can be had.
        """
        case_id = made_id("case", site, service, form.idempotency_key or new_key())
        try:
            key, subject = await asyncio.to_thread(
                self._make_key, case_id, form, service, received_at
            )
        except ErasedError:
            raise Refusal(Why.DELETED) from None
        except (*UNUSABLE, KeyStoreError) as error:
            _log.error("no_keys", exc_info=error)
            raise Refusal(Why.NO_KEYS) from None
        record = {
            "case_id": case_id,
            "service": service,
            "site": site,
            "group": form.group,
            "subject": subject,
            "language": form.language,
            "received_at": received_at,
            "key_version": VERSION,
            "sealed": seal(key, form.personal, site=site, case_id=case_id),
            "settings": dict(form.settings),
            "further": form.further,
        }
        return case_id, Message(case_id.encode(), encode("form_submission", record))

    def forget_orphans(self, now: int) -> None:
        """Shred the keys of forms that never became a case. ``now`` in milliseconds since 1970.

        Each key is looked at once, and all again when the collector starts.
        """
        until = now - FORGET_AFTER_MS
        try:
            while True:
                with self._ledger.reading() as connection:
                    found = keys.orphans(connection, self._looked_until, until, AT_ONCE)
                with self._ledger.transaction() as connection:
                    keys.shred_orphans(connection, found)
                if found:
                    self._ledger.checkpoint()
                if len(found) < AT_ONCE:
                    self._looked_until = max(self._looked_until, until)
                    return
        except UNUSABLE as error:
            _log.warning("orphans_remain", reason=str(error))

    def _make_key(
        self, case_id: str, form: Form, service: str, at: int
    ) -> tuple[bytes, str | None]:
        subject = None if form.email is None else subject_id(self._subject_key(), form.email)
        with self._ledger.transaction() as connection:
            departments = self.services[service].departments
            return self._vault.make(connection, case_id, departments, at), subject


def require_no_files(request: web.Request) -> None:
    """Refuse what browsers send files in, and say so."""
    if request.content_type == "multipart/form-data":
        raise Refusal(Why.MEDIA_TYPE, rule=f"{NO_FILES}; send what was filled in as JSON")
