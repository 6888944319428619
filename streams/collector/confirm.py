"""The link that confirms a person's request: whoever can read the mail is who asked (Art. 12(6)).

Nothing is looked up: the signed token names the request, and what becomes of a confirmation that
comes twice, or for a request that is over, the requests lane knows.
"""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from privacy.links import read_confirm
from privacy.signed import Keys
from sinks.publish import Message
from streams.collector.linked import Linked, Question, Shown, button, signing_keys, told, unknown
from streams.subject_requests import LINK, said_record

PATH = "/v1/requests/confirm/{token}"
CONFIRMED = "confirmed"


WORDS: Mapping[str, Question] = {
    "en": Question(
        "Did you ask us something about your personal data? Confirm it, and we deal with it. If it "
        "was not you, close this page: then nothing happens.",
        "Confirm my request",
        "Your request is confirmed. We answer by e-mail within one month.",
        "This link is not complete, not ours, or no longer valid. Please copy it from the mail "
        "once more, or ask again.",
        "This cannot be recorded now. Please try again in a minute.",
    ),
    "nl": Question(
        "Hebt u ons iets gevraagd over uw persoonsgegevens? Bevestig het, dan behandelen wij uw "
        "verzoek. Was u het niet, sluit dan deze pagina: er gebeurt dan niets.",
        "Mijn verzoek bevestigen",
        "Uw verzoek is bevestigd. Wij antwoorden binnen een maand per e-mail.",
        "Deze link is niet volledig, niet van ons of niet meer geldig. Kopieer hem opnieuw uit de "
        "mail, of doe uw verzoek opnieuw.",
        "Dit kan nu niet worden vastgelegd. Probeer het over een minuut opnieuw.",
    ),
    "fr": Question(
        "Nous avez-vous adressé une demande concernant vos données personnelles ? Confirmez-la et "
        "nous la traiterons. Si ce n'était pas vous, fermez cette page : rien ne se passera.",
        "Confirmer ma demande",
        "Votre demande est confirmée. Nous répondons par e-mail dans un délai d'un mois.",
        "Ce lien est incomplet, n'est pas le nôtre ou n'est plus valable. Veuillez le copier à "
        "nouveau de l'e-mail, ou refaire votre demande.",
        "Impossible de l'enregistrer pour le moment. Veuillez réessayer dans une minute.",
    ),
    "de": Question(
        "Haben Sie uns etwas zu Ihren personenbezogenen Daten gefragt? Bestätigen Sie es, dann "
        "bearbeiten wir Ihren Antrag. Waren Sie es nicht, schließen Sie diese Seite: dann "
        "geschieht nichts.",
        "Meinen Antrag bestätigen",
        "Ihr Antrag ist bestätigt. Wir antworten innerhalb eines Monats per E-Mail.",
        "Dieser Link ist unvollständig, nicht von uns oder nicht mehr gültig. Bitte kopieren Sie "
        "ihn noch einmal aus der E-Mail, oder stellen Sie den Antrag erneut.",
        "Das kann gerade nicht vermerkt werden. Bitte versuchen Sie es in einer Minute erneut.",
    ),
}


class Confirming:
    """The links that confirm requests.

    ``keys`` returns what verifies them, or raises KeyStoreError. ``admit`` raises Refusal for who
    asks too often; ``store`` publishes to ``subject-requests``, and raises Refusal when the broker
    has it not. ``clock`` returns milliseconds since 1970.
    """

    def __init__(
        self,
        title: str,
        keys: Callable[[], Keys],
        *,
        admit: Callable[[web.Request], object],
        store: Callable[[list[Message]], Awaitable[object]],
        clock: Callable[[], int],
    ) -> None:
        self._keys = keys
        self._page = Linked(title, WORDS, admit)
        self._store = store
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the links."""
        return [web.get(PATH, self._show), web.post(PATH, self._take)]

    async def _show(self, request: web.Request) -> web.Response:
        return await self._page.answer(request, self._ask)

    async def _take(self, request: web.Request) -> web.Response:
        return await self._page.answer(request, self._confirm)

    async def _ask(self, words: Question, token: str) -> Shown:
        """Ask whether it was the reader, and change nothing."""
        if await self._request(token) is None:
            return unknown(words)
        return Shown("asked", told(words.question) + button(words.button))

    async def _confirm(self, words: Question, token: str) -> Shown:
        """Have the request confirmed, however often it is asked for."""
        request_id = await self._request(token)
        if request_id is None:
            return unknown(words)
        await self._store([confirmed(request_id, LINK, self._clock())])
        return Shown(CONFIRMED, told(words.done))

    async def _request(self, token: str) -> str | None:
        return read_confirm(await signing_keys(self._keys), token, self._clock() // 1000)


def confirmed(request_id: str, by: str, at: int) -> Message:
    """Return what says that whoever asked is who they say; ``at`` in milliseconds since 1970."""
    return Message(request_id.encode(), said_record(request_id, CONFIRMED, by, at))
