"""The link an answer is fetched with: a page with a button, and then the file, once (S18, S22).

The token opens the answer, which lies sealed; nobody else can. Whether an answer is not there yet
or never will be looks the same: a stranger learns of nobody whether they are known.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import structlog
from aiohttp import web

from privacy.links import answer_id
from sinks.keys.answers import open_answer
from sinks.ledger import answers
from sinks.ledger.answers import Answer
from sinks.ledger.ledger import UNUSABLE, Ledger
from streams.collector.linked import File, Linked, Shown, button, told
from streams.collector.refusal import Refusal, Why

PATH = "/v1/answers/{token}"

T = TypeVar("T")

_log = structlog.get_logger()


class Words(NamedTuple):
    """What the page says in one language."""

    ready: str
    button: str
    absent: str
    taken: str
    over: str
    later: str


WORDS: Mapping[str, Words] = {
    "en": Words(
        "The answer to your request is ready. It can be fetched once, and is then deleted here. "
        "Keep the file where nobody else can read it.",
        "Fetch the answer",
        "There is no answer here, or not yet. We answer within one month after a request is "
        "confirmed. If you have waited longer, please check that the link is complete.",
        "This answer was fetched and is deleted here. If that was not you, tell us at once, and "
        "ask again.",
        "This answer was not fetched in time and is deleted. You can ask again.",
        "This cannot be looked up now. Please try again in a minute.",
    ),
    "nl": Words(
        "Het antwoord op uw verzoek staat klaar. U kunt het één keer ophalen; daarna wordt het "
        "hier gewist. Bewaar het bestand waar niemand anders het kan lezen.",
        "Antwoord ophalen",
        "Hier is geen antwoord, of nog niet. Wij antwoorden binnen een maand nadat een verzoek is "
        "bevestigd. Wacht u al langer, controleer dan of de link volledig is.",
        "Dit antwoord is opgehaald en hier gewist. Was u dat niet, meld het ons dan meteen en doe "
        "uw verzoek opnieuw.",
        "Dit antwoord is niet op tijd opgehaald en is gewist. U kunt uw verzoek opnieuw doen.",
        "Dit kan nu niet worden opgezocht. Probeer het over een minuut opnieuw.",
    ),
    "fr": Words(
        "La réponse à votre demande est prête. Vous pouvez la récupérer une seule fois ; elle est "
        "ensuite effacée ici. Conservez le fichier là où personne d'autre ne peut le lire.",
        "Récupérer la réponse",
        "Il n'y a pas de réponse ici, ou pas encore. Nous répondons dans un délai d'un mois après "
        "la confirmation d'une demande. Si vous attendez depuis plus longtemps, vérifiez que le "
        "lien est complet.",
        "Cette réponse a été récupérée et effacée ici. Si ce n'était pas vous, dites-le-nous tout "
        "de suite et refaites votre demande.",
        "Cette réponse n'a pas été récupérée à temps et a été effacée. Vous pouvez refaire votre "
        "demande.",
        "Impossible de la consulter pour le moment. Veuillez réessayer dans une minute.",
    ),
    "de": Words(
        "Die Antwort auf Ihren Antrag liegt bereit. Sie können sie einmal abholen; danach wird "
        "sie hier gelöscht. Bewahren Sie die Datei dort auf, wo niemand sonst sie lesen kann.",
        "Antwort abholen",
        "Hier liegt keine Antwort, oder noch keine. Wir antworten innerhalb eines Monats, nachdem "
        "ein Antrag bestätigt wurde. Warten Sie schon länger, prüfen Sie bitte, ob der Link "
        "vollständig ist.",
        "Diese Antwort wurde abgeholt und hier gelöscht. Waren das nicht Sie, melden Sie es uns "
        "bitte sofort und stellen Sie den Antrag erneut.",
        "Diese Antwort wurde nicht rechtzeitig abgeholt und ist gelöscht. Sie können den Antrag "
        "erneut stellen.",
        "Das kann gerade nicht nachgesehen werden. Bitte versuchen Sie es in einer Minute erneut.",
    ),
}


class Answers:
    """The links that answers are fetched with.

    ``admit`` raises Refusal for who asks too often; ``clock`` returns milliseconds since 1970.
    """

    def __init__(
        self,
        title: str,
        ledger: Ledger,
        *,
        admit: Callable[[web.Request], object],
        clock: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._page = Linked(title, WORDS, admit)
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the links."""
        return [web.get(PATH, self._show), web.post(PATH, self._take)]

    async def _show(self, request: web.Request) -> web.Response:
        return await self._page.answer(request, self._tell)

    async def _take(self, request: web.Request) -> web.Response:
        return await self._page.answer(request, self._give)

    async def _tell(self, words: Words, token: str) -> Shown:
        """Tell where the answer is, and change nothing."""
        return _told(words, await _asked(self._look, token), self._clock())

    async def _give(self, words: Words, token: str) -> Shown:
        """Give the file, and delete it in the transaction that found it."""
        file = await _asked(self._fetch, token)
        return await self._tell(words, token) if file is None else Shown("fetched", file=file)

    def _look(self, token: str) -> Answer | None:
        with self._ledger.reading() as connection:
            return answers.state(connection, answer_id(token))

    def _fetch(self, token: str) -> File | None:
        with self._ledger.transaction() as connection:
            answer = answers.take(connection, answer_id(token), self._clock())
            if answer is None or answer.sealed is None:
                return None
            return File(answer.name, answer.media_type, open_answer(token, answer.sealed))


async def _asked(ask: Callable[[str], T], token: str) -> T:
    """Return what the ledger says of a token. Raise Refusal when it does not answer."""
    try:
        return await asyncio.to_thread(ask, token)
    except UNUSABLE as error:
        _log.error("no_answers", exc_info=error)
        raise Refusal(Why.NO_KEYS) from None


def _told(words: Words, answer: Answer | None, now: int) -> Shown:
    if answer is None:
        return Shown("absent", told(words.absent), HTTPStatus.NOT_FOUND)
    if answer.taken_at is not None:
        return Shown("taken", told(words.taken), HTTPStatus.GONE)
    if answer.sealed is None or answer.expires_at <= now:
        return Shown("over", told(words.over), HTTPStatus.GONE)
    return Shown("ready", told(words.ready) + button(words.button))
