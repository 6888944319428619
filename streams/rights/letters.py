"""What the mail system sends to who asked: sealed with the request's key (S17, S21, S24).

The words are the law's and the policy's (``privacy.rights.letters``). The link, in the text and as
a field, is the collector's as the policy says that people reach it; without that a path, before
which the mail system puts the name.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from privacy.durations import DAY_MS, HOUR_MS
from privacy.links import answer_id, confirm_token
from privacy.policy import Policy
from privacy.rights import letters as words
from privacy.rights.letters import Letter
from privacy.rights.plan import Act, RefusalReason, Refused, Verdict
from privacy.rights.request import Asked
from privacy.signed import Keys
from schemas.codec import encode
from sinks.keys.answers import seal_answer
from sinks.keys.seal import VERSION, seal
from sinks.ledger import answers
from sinks.ledger.answers import Answer
from sinks.ledger.outbox import Message
from sinks.ledger.requests import Request
from streams.ids import made_id
from streams.rights.doing import Doing, Done, Handlers, Outsides
from streams.rights.recipients import keeping, silent

LETTERS = "letters"
CONFIRM_PATH, ANSWER_PATH = "/v1/requests/confirm/{}", "/v1/answers/{}"


class Letters:
    """Writes letters, and does the acts that are letters.

    ``topic`` is that of letters as the broker has it; ``links`` returns the keys of links that
    confirm, or raises KeyStoreError.
    """

    def __init__(self, policy: Policy, topic: str, links: Callable[[], Keys]) -> None:
        if policy.rights is None:
            raise ValueError("the policy has no rights")
        self._policy = policy
        self._rules = policy.rights
        self._topic = topic
        self._links = links

    def handlers(self) -> Handlers:
        """Return who does which act."""
        return {Act.NOTIFY_LIFTING: self.notify_lifting, Act.ANSWER: self.answer}

    def outside(self) -> Outsides:
        """Return nothing: letters go through the ledger's outbox."""
        return {}

    def confirm(
        self, request: Request, asked: Asked, key: bytes, at: int, until: int
    ) -> Sequence[Message]:
        """Return the letter with the link that confirms a request until then. Times in ms."""
        token = confirm_token(self._links(), request.request_id, until // 1000)
        link = self._link(CONFIRM_PATH, token)
        text = words.confirm(self._policy, asked.right, request.language, link=link, until=until)
        return self._sealed("confirm", text, request, asked, key, at=at, link=link)

    def extended(self, request: Request, asked: Asked, key: bytes, at: int) -> Sequence[Message]:
        """Return the letter that gives the new deadline and its reason (Art. 12(3))."""
        text = words.extended(
            self._policy,
            asked.right,
            request.language,
            deadline=request.deadline,
            because=request.extended_because or "",
        )
        return self._sealed("extended", text, request, asked, key, at=at)

    def notify_lifting(self, _: Connection, doing: Doing) -> Done:
        """Tell of the end of a restriction; it comes when the broker has this, or later (S21)."""
        until = doing.at + self._rules.notice_hours * HOUR_MS
        request = doing.request
        text = words.lifting(self._policy, request.language, at=until)
        messages = self._sealed("lifting", text, request, doing.asked, doing.key, at=doing.at)
        return Done("told before lifting" if messages else "no address to tell", messages, until)

    def answer(self, connection: Connection, doing: Doing) -> Done:
        """Tell what was decided, and where the answer is if there is one; everybody is told.

        Who is known by a cookie alone fetches this text with the token that the site was given.
        """
        request, token = doing.request, doing.asked.answer
        file = answers.state(connection, answer_id(token))
        if file is not None and file.request_id != request.request_id:
            file = None  # of the restriction that an operator lifts by this request
        until = doing.at + self._rules.answer_days * DAY_MS if file is None else file.expires_at
        link = "" if file is None else self._link(ANSWER_PATH, token)
        text = words.answered(
            self._policy,
            doing.asked.right,
            request.language,
            Verdict(request.verdict or Verdict.REFUSED),
            [Refused(what, RefusalReason(why)) for what, why in request.refused or ()],
            silent=silent(connection, self._policy, doing),
            keeping=keeping(connection, self._policy, doing),
            link=link or None,
            until=until,
        )
        if doing.asked.email is not None:
            messages = self._sealed(
                "answer", text, request, doing.asked, doing.key, at=doing.at, link=link
            )
            return Done("letter written", messages)
        if file is None:
            answers.put_over(connection, _file(doing, text, until))
        return Done("answer to be fetched")

    def _link(self, path: str, token: str) -> str:
        return (self._rules.url or "").rstrip("/") + path.format(token)

    def _sealed(
        self,
        kind: str,
        text: Letter,
        request: Request,
        asked: Asked,
        key: bytes,
        *,
        at: int,
        link: str = "",
    ) -> Sequence[Message]:
        """Return the letter; nothing for who has given no address."""
        if asked.email is None:
            return ()
        name = request.request_id
        fields = {"to": asked.email, "subject": text.subject, "text": text.text, "link": link}
        record: dict[str, object] = {
            "letter_id": made_id("letter", name, kind),
            "request_id": name,
            "kind": kind,
            "language": request.language,
            "at": at,
            "site": request.site,
            "key_version": VERSION,
            "sealed": seal(key, fields, site=request.site, case_id=name),
        }
        return [Message(self._topic, name.encode(), encode("letter", record))]


def _file(doing: Doing, text: Letter, until: int) -> Answer:
    token = doing.asked.answer
    return Answer(
        answer_id=answer_id(token),
        request_id=doing.request.request_id,
        name="answer.txt",
        media_type="text/plain; charset=utf-8",
        sealed=seal_answer(token, f"{text.subject}\n\n{text.text}".encode()),
        made_at=doing.at,
        expires_at=until,
    )
