"""Pages behind the links in mails: one paragraph, at most one button, in the reader's language.

To look at one changes nothing, whoever follows links; only a POST does, whatever it says. No
cookie, no key and no origin is asked for: what the link holds is all there is to show.
"""

import asyncio
import html
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog
from aiohttp import web

from privacy.signed import Keys
from sinks.keys.keks import KeyStoreError
from streams.collector.refusal import ANSWERS, Refusal, Why
from streams.metrics import COLLECTOR_REQUESTS

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
# What it sends is what a mail program does (RFC 8058).
_BUTTON = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<button>{}</button></form>"
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shown:
    """What a link led to: the outcome's name for the metric, and HTML, or a file to be saved."""

    outcome: str
    content: str = ""
    status: int = HTTPStatus.OK
    file: "File | None" = None


@dataclass(frozen=True, slots=True)
class File:
    """What a link fetches, once."""

    name: str
    media_type: str
    content: bytes


class Said(Protocol):
    """What a page says in one language."""

    @property
    def later(self) -> str:
        """What it says when nothing can be done now."""


class Question(NamedTuple):
    """What a page that asks before anything changes says in one language."""

    question: str
    button: str
    done: str
    unknown: str
    later: str


Words = TypeVar("Words", bound=Said)


class Linked(Generic[Words]):
    """Answers links in a language of ``words``, among which English is.

    ``title`` heads the page. ``admit`` raises Refusal for who asks too often.
    """

    def __init__(
        self,
        title: str,
        words: Mapping[str, Words],
        admit: Callable[[web.Request], object],
    ) -> None:
        self._title = title
        self._words = words
        self._admit = admit

    async def answer(
        self, request: web.Request, act: Callable[[Words, str], Awaitable[Shown]]
    ) -> web.Response:
        """Act on the token in the path, and show what came of it. A refusal is shown, too."""
        accepted = request.headers.get("Accept-Language", "")
        language = language_of(accepted, self._words)
        words, headers = self._words[language], dict(_HEADERS)
        try:
            self._admit(request)
            shown = await act(words, request.match_info["token"])
        except Refusal as refusal:
            content = told(words.later)
            shown = Shown(refusal.why, content, ANSWERS[refusal.why].status)
            headers["Retry-After"] = str(refusal.retry_after)
        COLLECTOR_REQUESTS.labels("", shown.outcome).inc()
        if shown.file is not None:
            return _saved(shown.file)
        return web.Response(
            text=_page(language, self._title, shown.content),
            content_type="text/html",
            status=shown.status,
            headers=headers,
        )


async def signing_keys(keys: Callable[[], Keys]) -> Keys:
    """Return what verifies a link. Raise Refusal where they cannot be read now."""
    try:
        return await asyncio.to_thread(keys)
    except KeyStoreError as error:
        _log.error("no_keys", exc_info=error)
        raise Refusal(Why.NO_KEYS) from None


def told(text: str, name: str = "") -> str:
    """Return a paragraph whose ``{}``, if any, is a name that stands out."""
    return f"<p>{text.format(f'<strong>{html.escape(name)}</strong>')}</p>"


def unknown(words: Question) -> Shown:
    """Return what is shown for a link that is not ours."""
    return Shown("unknown", told(words.unknown), HTTPStatus.NOT_FOUND)


def button(label: str) -> str:
    """Return a form with one button and nothing to fill in."""
    return _BUTTON.format(label)


def language_of(accepted: str, languages: Iterable[str]) -> str:
    """Return the language that an Accept-Language header likes best; else English."""
    liked = [each.partition(";") for each in accepted.lower().split(",")]
    for name, _, weight in sorted(liked, key=lambda each: -_weight(each[2])):
        language = name.strip().partition("-")[0]
        if language in languages and _weight(weight) > 0:
            return language
    return "en"


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0


def _saved(file: File) -> web.Response:
    """Have a browser save it, and show nothing of it: some of what is in it came from outside."""
    return web.Response(
        body=file.content,
        headers={
            "Content-Type": file.media_type,
            "Content-Disposition": f'attachment; filename="{file.name}"',
            "X-Robots-Tag": "noindex",
        },
    )


def _page(language: str, title: str, content: str) -> str:
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{content}</body></html>"
    )
