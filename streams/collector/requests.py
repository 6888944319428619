"""``POST /v1/requests``: a person exercises a right (S17 to S24).

What is asked is sealed with a key of its own and published. Nobody is looked up, so that a person
we know and one we do not are answered alike, and as fast: who it is, the mail or the cookie shows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any

import structlog
from aiohttp import web

from privacy.links import answer_token
from privacy.policy import Policy
from privacy.rights.request import Asked, contract, enter, problems, to_json
from privacy.signed import Keys
from privacy.subjects import subject_id
from sinks.keys.keks import KeyStoreError
from sinks.keys.vault import ErasedError, Vault
from sinks.ledger.ledger import UNUSABLE, Ledger
from sinks.publish import Message
from streams.collector import answers
from streams.collector.answers import Answers
from streams.collector.body import MOST_FAULTS, read_json
from streams.collector.confirm import Confirming, confirmed
from streams.collector.door import Door, require_rate
from streams.collector.limits import Anonymous, Buckets
from streams.collector.refusal import Fault, Refusal, Why
from streams.ids import made_id
from streams.subject_requests import COOKIE, asked_record

PATH = "/v1/requests"
A_DAY = 5  # requests by one person, which are as many mails to one address

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Begun:
    """A request that has its key."""

    request_id: str
    asked: Asked
    key: bytes = field(repr=False)
    subject: str | None


class Requests:
    """Takes the requests of a policy that has rights, and shows the pages of their links.

    ``subject_key`` returns the key of subjects' ids, ``links`` those of links that confirm; both
    raise KeyStoreError.
    """

    def __init__(
        self,
        policy: Policy,
        ledger: Ledger,
        vault: Vault,
        subject_key: Callable[[], bytes],
        links: Callable[[], Keys],
    ) -> None:
        if policy.rights is None:
            raise ValueError("the policy has no rights")
        self.contract = contract(policy)
        self._policy = policy
        self._department = policy.rights.department
        self._ledger = ledger
        self._vault = vault
        self._subject_key = subject_key
        self._links = links
        self._anonymous = Anonymous()
        self._by_person = Buckets(A_DAY / 86_400, A_DAY)

    def routes(
        self,
        door: Door,
        store: Callable[[list[Message]], Awaitable[object]],
        *,
        clock: Callable[[], int],
        new_key: Callable[[], str],
    ) -> list[web.RouteDef]:
        """Return the routes of requests and their links.

        ``store`` publishes to ``subject-requests``; ``new_key`` makes an idempotency key for a
        request that brings none; ``clock`` returns milliseconds since 1970.
        """
        title, admit = self._policy.controller.name, door.require_client_rate
        take = partial(self._take, door, store, clock, new_key)
        return [
            web.post(PATH, door.handler(take)),
            web.options(PATH, door.preflight("POST")),
            *Confirming(title, self._links, admit=admit, store=store, clock=clock).routes(),
            *Answers(title, self._ledger, admit=admit, clock=clock).routes(),
        ]

    async def _take(
        self,
        door: Door,
        store: Callable[[list[Message]], Awaitable[object]],
        clock: Callable[[], int],
        new_key: Callable[[], str],
        request: web.Request,
    ) -> tuple[str, web.Response]:
        """Take a request in and answer its id; where its cookie is proof enough, the answer's path.

        Raise Refusal at the first rule broken.
        """
        site, _ = door.admit(request)
        door.require_site_rate(site)
        body = read_json(await door.read_body(request))
        self._require_contract(body)
        self._require_person_rate(site, body)
        now = clock()
        asked = enter(body, site=site, answer="")
        idempotency_key = body.get("idempotency_key") or new_key()
        begun = await self._begin(asked, site, now, idempotency_key)
        told, messages = {"request_id": begun.request_id}, [_asked(begun, site, now)]
        if asked.email is None:
            messages.append(confirmed(begun.request_id, COOKIE, now))
            told["answer"] = answers.PATH.format(token=begun.asked.answer)
        await store(messages)
        return "accepted", web.json_response(told, status=202)

    def _require_contract(self, body: Any) -> None:
        broken = islice(problems(self._policy, body), MOST_FAULTS)
        if faults := [Fault(None, each) for each in broken]:
            raise Refusal(Why.CONTRACT, faults=faults)

    def _require_person_rate(self, site: str, body: Mapping[str, Any]) -> None:
        """Raise Refusal when one address or cookie is named too often, whoever it is that asks."""
        known_by = body.get("email") or f"{site}|{body.get('cookie_id')}"
        name = self._anonymous.person(known_by)
        require_rate(self._by_person, name, why=Why.TOO_MANY_BY_ONE)

    async def _begin(self, asked: Asked, site: str, at: int, idempotency_key: str) -> _Begun:
        """Make the request's key; raise Refusal when none can be had."""
        try:
            return await asyncio.to_thread(self._make_key, asked, site, at, idempotency_key)
        except ErasedError:
            raise Refusal(Why.DELETED) from None
        except (*UNUSABLE, KeyStoreError) as error:
            _log.error("no_keys", exc_info=error)
            raise Refusal(Why.NO_KEYS) from None

    def _make_key(self, asked: Asked, site: str, at: int, idempotency_key: str) -> _Begun:
        # What is asked is part of the id: an idempotency key that somebody guesses is of no use.
        request_id = made_id("request", site, idempotency_key, _digest(asked, self._subject_key()))
        subject = None if asked.email is None else subject_id(self._subject_key(), asked.email)
        with self._ledger.transaction() as connection:
            key = self._vault.make(connection, request_id, [self._department], at)
        whole = replace(asked, answer=answer_token(key, request_id))
        return _Begun(request_id, whole, key, subject)


def refused(door: Door) -> list[web.RouteDef]:
    """Return the route where nobody's requests are taken, which says so."""

    async def take(request: web.Request) -> tuple[str, web.Response]:
        door.admit(request)
        raise Refusal(Why.NO_RIGHTS)

    return [web.post(PATH, door.handler(take)), web.options(PATH, door.preflight("POST"))]


def _digest(asked: Asked, key: bytes) -> str:
    content = to_json(asked).encode()
    return blake2b(content, digest_size=16, key=key, person=b"lethe-request").hexdigest()


def _asked(begun: _Begun, site: str, at: int) -> Message:
    value = asked_record(
        begun.asked,
        begun.key,
        request_id=begun.request_id,
        site=site,
        subject=begun.subject,
        at=at,
        by="",
    )
    return Message(begun.request_id.encode(), value)
