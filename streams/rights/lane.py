"""The requests lane: what people and operators say of requests, into the ledger (S17 to S24).

    asked      a request that nobody has confirmed yet; the person is sent a link
    confirmed  by the link, the cookie or an operator: the engine may begin
    refused    by an operator, before it was planned
    extended   by an operator, with a reason, within the first month
    lifted     by an operator: a restriction ends, by a request of its own

Each once: what comes again finds the request further on, and changes nothing.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, Message
from sqlalchemy import Connection

from privacy.durations import DAY_MS, HOUR_MS
from privacy.outcome import Reason, Reject
from privacy.policy import RIGHTS, Policy
from privacy.rights.deadline import MOST_MONTHS, deadline
from privacy.rights.plan import RefusalReason, refuse
from privacy.rights.request import Right
from sinks.kafka import BatchProducer
from sinks.keys.vault import Vault
from sinks.ledger import holds, keys, outbox, requests
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import Request, State
from streams.cases.records import milliseconds
from streams.ids import made_id
from streams.lanes.ledgered import LedgeredLane, Outcome
from streams.lanes.readable import read
from streams.lanes.rejects import dead_letter
from streams.rights.letters import Letters
from streams.rights.plans import keep
from streams.subject_requests import COOKIE, LINK, OPERATOR, open_asked, seal_asked

A_DAY = 5  # confirming links mailed to one address; anybody can ask in anybody's name
MONTH_MS = 31 * DAY_MS

Said = Sequence[outbox.Message] | Reject


class RequestsLane:
    """Runs until told to stop. One thread, one consumer."""

    name = "requests"

    def __init__(
        self,
        topic: str,
        policy: Policy,
        ledger: Ledger,
        *,
        dead_letters: str,
        vault: Vault,
        letters: Letters,
        consumer: Consumer,
        producer: BatchProducer,
        clock: Callable[[], int],
    ) -> None:
        """Take ``clock`` to tell the milliseconds since 1970."""
        if policy.rights is None:
            raise ValueError("the policy has no rights")
        self._policy = policy
        self._rules = policy.rights
        self._dead_letters = dead_letters
        self._vault = vault
        self._letters = letters
        self._clock = clock
        self._does: Mapping[str, Callable[[Connection, Mapping[str, Any]], Said]] = {
            "asked": self._asked,
            "confirmed": self._confirmed,
            "refused": self._refused,
            "extended": self._extended,
            "lifted": self._lifted,
        }
        self._lane = LedgeredLane(
            self.name, [topic], ledger, self._take, consumer=consumer, producer=producer
        )

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; while the ledger is away, wait for it."""
        self._lane.run(stop)

    def _take(self, connection: Connection, messages: Sequence[Message]) -> list[Outcome]:
        return [self._outcome(each, self._said(connection, each)) for each in messages]

    def _said(self, connection: Connection, message: Message) -> Said:
        said = read("subject_request", message.value(), "read")
        if isinstance(said, Reject):
            return said
        return self._does[said["kind"]](connection, said)

    def _outcome(self, message: Message, said: Said) -> Outcome:
        if not isinstance(said, Reject):
            return Outcome(said)
        value = dead_letter(message, said, self.name, self._clock())
        return Outcome([outbox.Message(self._dead_letters, b"", value)], said)

    def _asked(self, connection: Connection, said: Mapping[str, Any]) -> Said:
        """Keep a request, and mail who asked what confirms it; not who an operator knows."""
        received_at = milliseconds(said["received_at"])
        due_at = received_at + self._rules.link_hours * HOUR_MS
        new = Request(
            request_id=said["request_id"],
            right=said["right"],
            ground=None,
            site=said["site"],
            language=said["language"],
            subject=said["subject"],
            has_visitor=said["has_visitor"],
            state=State.UNCONFIRMED,
            received_at=received_at,
            deadline=deadline(received_at),
            sealed=said["sealed"],
            due_at=due_at,
        )
        known = requests.lock(connection, [new.request_id]).get(new.request_id)
        if known is not None:
            if known.state is State.CLOSED:
                keys.shred(connection, [new.request_id])  # made anew when it was sent once more
            return ()
        opened = self._vault.open(connection, [new.request_id], RIGHTS)
        try:
            key = opened[new.request_id]
            asked = open_asked(new, key)
        except (KeyError, ValueError):
            return Reject(Reason.MALFORMED, "open", ("sealed",))
        requests.add(connection, replace(new, ground=asked.ground))
        if new.subject is None or said["by"].startswith(OPERATOR):
            return ()
        today = requests.count_recent(connection, new.subject, received_at - DAY_MS)
        if today <= A_DAY:
            return self._letters.confirm(new, asked, key, self._clock(), due_at)
        # Anybody may ask in a person's name: they are told of it once, and not mailed for ever.
        self._refuse(connection, new, RefusalReason.EXCESSIVE, told=today == A_DAY + 1)
        return ()

    def _confirmed(self, connection: Connection, said: Mapping[str, Any]) -> Said:
        request, by = self._of(connection, said), said["by"]
        if isinstance(request, Reject):
            return request
        shown = {COOKIE: request.subject is None, LINK: request.subject is not None}
        if not shown.get(by, by.startswith(OPERATOR)):
            return Reject(Reason.ILLEGAL_TRANSITION, "confirm", ("by",))
        at = self._clock()
        if not requests.confirm(connection, request.request_id, at, by, request.deadline):
            return ()
        if by == LINK and self._are_too_many(connection, request):
            self._refuse(connection, request, RefusalReason.EXCESSIVE)
        return ()

    def _refused(self, connection: Connection, said: Mapping[str, Any]) -> Said:
        request = self._of(connection, said)
        if isinstance(request, Reject):
            return request
        try:
            reason = RefusalReason(said["details"].get("reason", ""))
        except ValueError:
            return Reject(Reason.MALFORMED, "refuse", ("details",))
        self._refuse(connection, request, reason)
        return ()

    def _extended(self, connection: Connection, said: Mapping[str, Any]) -> Said:
        """Move a deadline, and tell who asked of it and why, as Art. 12(3) has it."""
        request = self._of(connection, said)
        if isinstance(request, Reject):
            return request
        months, because = said["details"].get("months", ""), said["details"].get("reason", "")
        if months not in map(str, range(1, MOST_MONTHS + 1)) or not because:
            return Reject(Reason.MALFORMED, "extend", ("details",))
        at = self._clock()
        if at > deadline(request.received_at):
            return Reject(Reason.ILLEGAL_TRANSITION, "extend", ("received_at",))
        until = deadline(request.received_at, int(months))
        if not requests.extend(connection, request.request_id, until, because):
            return ()
        key = self._vault.open(connection, [request.request_id], RIGHTS)[request.request_id]
        later = replace(request, deadline=until, extended_because=because)
        return self._letters.extended(later, open_asked(request, key), key, at)

    def _lifted(self, connection: Connection, said: Mapping[str, Any]) -> Said:
        """Have a restriction lifted by a request of its own, so that its subject is told first."""
        request = self._of(connection, said)
        if isinstance(request, Reject):
            return request
        if request.request_id not in holds.restrictions(connection, [request.request_id]):
            return Reject(Reason.ILLEGAL_TRANSITION, "lift", ("request_id",))
        at, name = self._clock(), made_id("lifting", request.request_id)
        old = self._vault.open(connection, [request.request_id], RIGHTS)[request.request_id]
        key = self._vault.make(connection, name, [self._rules.department], at)
        asked = replace(open_asked(request, old), right=Right.LIFTING, ground=None)
        lifting = Request(
            request_id=name,
            right=Right.LIFTING,
            ground=None,
            site=request.site,
            language=request.language,
            subject=request.subject,
            has_visitor=request.has_visitor,
            state=State.CONFIRMED,
            received_at=at,
            deadline=deadline(at),
            sealed=seal_asked(asked, key, site=request.site, request_id=name),
            confirmed_at=at,
            confirmed_by=said["by"],
        )
        requests.add(connection, lifting)
        return ()

    def _of(self, connection: Connection, said: Mapping[str, Any]) -> Request | Reject:
        found = requests.lock(connection, [said["request_id"]]).get(said["request_id"])
        return found or Reject(Reason.UNKNOWN_REQUEST, said["kind"], ("request_id",))

    def _are_too_many(self, connection: Connection, request: Request) -> bool:
        """Tell whether the person made as many of this right in a month as they may.

        Those that were confirmed count: what others ask in their name does not (Art. 12(5)).
        """
        since = request.received_at - MONTH_MS
        mine = [
            each
            for each in requests.of_subject(connection, request.subject or "")
            if each.right == request.right
            and each.received_at >= since
            and each.confirmed_by == LINK
        ]
        return len(mine) > self._rules.most_per_month

    def _refuse(
        self, connection: Connection, request: Request, reason: RefusalReason, *, told: bool = True
    ) -> None:
        plan = refuse(reason)
        if not told:
            plan = replace(plan, commands=())
        keep(connection, request, plan, self._clock(), self._policy)
