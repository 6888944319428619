"""The step that sends a portable copy to another controller (Art. 20(2) GDPR; S22).

What is sent is the very file that the person may fetch, opened with the token of the answer. Who
does not take it in time is given up, and the file is there to be fetched instead.
"""

import ssl
from pathlib import Path

import structlog

from privacy.links import answer_id
from privacy.policy import Policy
from privacy.rights.plan import Act
from sinks.keys.answers import open_answer
from sinks.ledger import answers
from sinks.ledger.answers import Answer
from sinks.ledger.ledger import Ledger
from streams.rights.cases import IN_TIME_MS
from streams.rights.doing import Doing, Done, Handlers, Later, Outsides, look_again
from streams.rights.sending import LostError, Parcel, send

FOLDER = "controllers"
"""Of the secrets: a controller's bearer token in a file of its name."""

RECEIVED = "received by"
NOT_RECEIVED = "not received by"
"""What an outcome begins with: the answer says that the file is to be fetched instead."""

_AGAIN = frozenset({408, 425, 429})  # besides 500 and above

_log = structlog.get_logger()


class TransferActs:
    """Sends by HTTPS, outside any transaction."""

    def __init__(
        self, policy: Policy, ledger: Ledger, secrets: Path, tls: ssl.SSLContext | None = None
    ) -> None:
        """Take ``tls`` to verify controllers by; None: what this machine trusts."""
        self._policy = policy
        self._ledger = ledger
        self._tokens = secrets / FOLDER
        self._tls = tls or ssl.create_default_context()

    def handlers(self) -> Handlers:
        """Return nothing: whom it depends on is outside."""
        return {}

    def outside(self) -> Outsides:
        """Return who does which act."""
        return {Act.TRANSFER: self.transfer}

    def transfer(self, doing: Doing) -> Done | Later:
        """Send the copy; when that fails, again and again, while the person can still fetch it.

        The outcome is the receipt: status and digest. It may arrive twice, with the same
        Idempotency-Key, the request's id. Raise NotSealedError for an answer of another token.
        """
        name, rules = doing.asked.transfer_to or "", self._policy.rights
        to = None if rules is None else rules.controllers.get(name)
        with self._ledger.reading() as connection:
            answer = answers.state(connection, answer_id(doing.asked.answer))
        if to is None:
            return Done(f"{NOT_RECEIVED} {name}: no longer in the policy")
        if answer is None or answer.sealed is None:
            return Done(f"{NOT_RECEIVED} {name}: no copy was made")
        try:
            parcel = Parcel(
                to.url,
                doing.request.request_id,
                answer.media_type,
                open_answer(doing.asked.answer, answer.sealed),
                self._token(name),
            )
            status = send(parcel, self._tls)
        except LostError as error:
            why, passes = str(error), True
        else:
            if 200 <= status < 300:
                return Done(f"{RECEIVED} {name}: HTTP {status}, sha256 {parcel.digest.hex()}")
            why, passes = f"HTTP {status}", status >= 500 or status in _AGAIN
        _log.warning("transfer_not_received", controller=name, why=why)
        until = _until(answer, doing)
        if passes and doing.at < until:
            return Later(min(look_again(doing).due_at, until))
        return Done(f"{NOT_RECEIVED} {name}: {why}")

    def _token(self, name: str) -> str:
        """Return the token that a controller gave us. Raise LostError: an operator may mend it."""
        try:
            return (self._tokens / name).read_text().strip()
        except OSError:
            raise LostError("NoToken") from None


def _until(answer: Answer, doing: Doing) -> int:
    """Return until when to try: half the copy's life is the person's, to fetch it."""
    half = (answer.expires_at - answer.made_at) // 2
    return min(answer.made_at + half, doing.request.deadline - IN_TIME_MS)
