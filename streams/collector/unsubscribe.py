"""The link at the foot of each mail: a page for people, one click for mail programs (S5, RFC 8058).

To look at it changes nothing, whoever follows links; only a POST does, whatever it says. No cookie,
no key and no origin is asked for: the signed token is all there is to show.
"""

import asyncio
import html
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import NamedTuple

import structlog
from aiohttp import web

from privacy.lifecycle import ServiceEvent
from privacy.policy import Policy
from privacy.signed import Keys
from privacy.unsubscribe import Subscription, read
from schemas.codec import encode
from sinks.keys.keks import KeyStoreError
from sinks.publish import Message
from streams.collector.refusal import ANSWERS, Refusal, Why
from streams.ids import made_id
from streams.metrics import COLLECTOR_REQUESTS

PATH = "/v1/unsubscribe/{token}"
BY = "unsubscribe-link"

_log = structlog.get_logger()


class Words(NamedTuple):
    """What the page says in one language; ``{}`` is the list."""

    question: str
    button: str
    done: str
    unknown: str
    later: str


WORDS: Mapping[str, Words] = {
    "en": Words(
        "Do you want to receive no more mails of {}?",
        "Unsubscribe",
        "You are unsubscribed from {}.",
        "This link is not complete or not ours. Please copy it from the mail once more.",
        "This cannot be recorded now. Please try again in a minute.",
    ),
    "nl": Words(
        "Wilt u geen mails van {} meer ontvangen?",
        "Uitschrijven",
        "U bent uitgeschreven voor {}.",
        "Deze link is niet volledig of niet van ons. Kopieer hem opnieuw uit de mail.",
        "Dit kan nu niet worden vastgelegd. Probeer het over een minuut opnieuw.",
    ),
    "fr": Words(
        "Souhaitez-vous ne plus recevoir les e-mails de {} ?",
        "Se désinscrire",
        "Vous êtes désinscrit(e) de {}.",
        "Ce lien est incomplet ou n'est pas le nôtre. Veuillez le copier à nouveau de l'e-mail.",
        "Impossible de l'enregistrer pour le moment. Veuillez réessayer dans une minute.",
    ),
    "de": Words(
        "Möchten Sie keine E-Mails von {} mehr erhalten?",
        "Abmelden",
        "Sie sind von {} abgemeldet.",
        "Dieser Link ist unvollständig oder nicht von uns. Bitte kopieren Sie ihn noch einmal.",
        "Das kann gerade nicht vermerkt werden. Bitte versuchen Sie es in einer Minute erneut.",
    ),
}

_STYLE = "body{font:1.1em/1.5 sans-serif;max-width:32em;margin:4em auto;padding:0 1em}"
_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Vary": "Accept-Language",
    "X-Robots-Tag": "noindex",
}
# What it sends is what a mail program does.
_BUTTON = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<button>{}</button></form>"
)

Act = Callable[[Words, Subscription, str], Awaitable[tuple[str, str]]]
"""Do what a link with a token is followed for; return the outcome's name and what to show."""


class Unsubscribing:
    """The links of a policy's mailing lists.

    ``keys`` returns what verifies them, or raises KeyStoreError. ``admit`` raises Refusal for who
    asks too often; ``store`` publishes to ``service-events``, and raises Refusal when the broker
    has it not. ``clock`` returns milliseconds since 1970.
    """

    def __init__(
        self,
        policy: Policy,
        keys: Callable[[], Keys],
        *,
        admit: Callable[[web.Request], object],
        store: Callable[[list[Message]], Awaitable[object]],
        clock: Callable[[], int],
    ) -> None:
        self._policy = policy
        self._keys = keys
        self._admit = admit
        self._store = store
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the links."""
        return [web.get(PATH, self._show), web.post(PATH, self._unsubscribe)]

    async def _show(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._ask)

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._end)

    async def _answer(self, request: web.Request, act: Act) -> web.Response:
        """Act if the link is ours, and say what came of it in a language of the reader."""
        language = language_of(request.headers.get("Accept-Language", ""))
        words, headers = WORDS[language], dict(_HEADERS)
        status: int = HTTPStatus.OK
        try:
            self._admit(request)
            token = request.match_info["token"]
            subscription = read(await self._known_keys(), token)
            if subscription is None:
                status, outcome, content = HTTPStatus.NOT_FOUND, "unknown", _told(words.unknown)
            else:
                outcome, content = await act(words, subscription, token)
        except Refusal as refusal:
            status, outcome, content = ANSWERS[refusal.why].status, refusal.why, _told(words.later)
            headers["Retry-After"] = str(refusal.retry_after)
        COLLECTOR_REQUESTS.labels("", outcome).inc()
        return web.Response(
            text=_page(language, self._policy.controller.name, content),
            content_type="text/html",
            status=status,
            headers=headers,
        )

    async def _ask(self, words: Words, subscription: Subscription, _: str) -> tuple[str, str]:
        """Ask whether to unsubscribe, and change nothing."""
        button = _BUTTON.format(words.button)
        return "asked", _told(words.question, self._list(subscription)) + button

    async def _end(self, words: Words, subscription: Subscription, token: str) -> tuple[str, str]:
        """Have the subscription end, however often it is asked for."""
        if subscription.service in self._policy.services:  # else nobody is subscribed to it
            event: dict[str, object] = {
                "event_id": made_id("unsubscribe", token),
                "service": subscription.service,
                "event": ServiceEvent.UNSUBSCRIBED.value,
                "case_id": subscription.case_id,
                "group": None,
                "at": self._clock(),
                "by": BY,
                "details": {},
            }
            key = subscription.case_id.encode()
            await self._store([Message(key, encode("service_event", event))])
        return "unsubscribed", _told(words.done, self._list(subscription))

    async def _known_keys(self) -> Keys:
        try:
            return await asyncio.to_thread(self._keys)
        except KeyStoreError as error:
            _log.error("no_keys", exc_info=error)
            raise Refusal(Why.NO_KEYS) from None

    def _list(self, subscription: Subscription) -> str:
        """Return the title of the list, or of what there is."""
        service = self._policy.services.get(subscription.service)
        if service is None:
            return self._policy.controller.name
        return service.title if service.list is None else self._policy.lists[service.list].title


def language_of(accepted: str) -> str:
    """Return the language of the page that an Accept-Language header likes best; else English."""
    liked = [each.partition(";") for each in accepted.lower().split(",")]
    for name, _, weight in sorted(liked, key=lambda each: -_weight(each[2])):
        language = name.strip().partition("-")[0]
        if language in WORDS and _weight(weight) > 0:
            return language
    return "en"


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0


def _told(text: str, list_: str = "") -> str:
    return f"<p>{text.format(f'<strong>{html.escape(list_)}</strong>')}</p>"


def _page(language: str, title: str, content: str) -> str:
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{content}</body></html>"
    )
