"""The link at the foot of each mail: a page for people, one click for mail programs (S5, RFC 8058).

The signed token is all there is to show; see ``linked`` for what such a page may do.
"""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from privacy.lifecycle import ServiceEvent
from privacy.policy import Policy
from privacy.signed import Keys
from privacy.unsubscribe import Subscription, read
from schemas.codec import encode
from sinks.publish import Message
from streams.collector.linked import Linked, Question, Shown, button, signing_keys, told, unknown
from streams.ids import made_id

PATH = "/v1/unsubscribe/{token}"
BY = "unsubscribe-link"


# ``{}`` is the list.
WORDS: Mapping[str, Question] = {
    "en": Question(
        "Do you want to receive no more mails of {}?",
        "Unsubscribe",
        "You are unsubscribed from {}.",
        "This link is not complete or not ours. Please copy it from the mail once more.",
        "This cannot be recorded now. Please try again in a minute.",
    ),
    "nl": Question(
        "Wilt u geen mails van {} meer ontvangen?",
        "Uitschrijven",
        "U bent uitgeschreven voor {}.",
        "Deze link is niet volledig of niet van ons. Kopieer hem opnieuw uit de mail.",
        "Dit kan nu niet worden vastgelegd. Probeer het over een minuut opnieuw.",
    ),
    "fr": Question(
        "Souhaitez-vous ne plus recevoir les e-mails de {} ?",
        "Se désinscrire",
        "Vous êtes désinscrit(e) de {}.",
        "Ce lien est incomplet ou n'est pas le nôtre. Veuillez le copier à nouveau de l'e-mail.",
        "Impossible de l'enregistrer pour le moment. Veuillez réessayer dans une minute.",
    ),
    "de": Question(
        "Möchten Sie keine E-Mails von {} mehr erhalten?",
        "Abmelden",
        "Sie sind von {} abgemeldet.",
        "Dieser Link ist unvollständig oder nicht von uns. Bitte kopieren Sie ihn noch einmal.",
        "Das kann gerade nicht vermerkt werden. Bitte versuchen Sie es in einer Minute erneut.",
    ),
}


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
        self._page = Linked(policy.controller.name, WORDS, admit)
        self._store = store
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the links."""
        return [web.get(PATH, self._show), web.post(PATH, self._unsubscribe)]

    async def _show(self, request: web.Request) -> web.Response:
        return await self._page.answer(request, self._ask)

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        return await self._page.answer(request, self._end)

    async def _ask(self, words: Question, token: str) -> Shown:
        """Ask whether to unsubscribe, and change nothing."""
        subscription = read(await signing_keys(self._keys), token)
        if subscription is None:
            return unknown(words)
        question = told(words.question, self._list(subscription))
        return Shown("asked", question + button(words.button))

    async def _end(self, words: Question, token: str) -> Shown:
        """Have the subscription end, however often it is asked for."""
        subscription = read(await signing_keys(self._keys), token)
        if subscription is None:
            return unknown(words)
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
        return Shown("unsubscribed", told(words.done, self._list(subscription)))

    def _list(self, subscription: Subscription) -> str:
        """Return the title of the list, or of what there is."""
        service = self._policy.services.get(subscription.service)
        if service is None:
            return self._policy.controller.name
        return service.title if service.list is None else self._policy.lists[service.list].title
