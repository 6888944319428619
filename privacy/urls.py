"""What may be kept of URLs, search terms and event names (S9, S12).

Statistics need to know which page was read, not by whom, and people's data get into URLs: e-mail
addresses in links of newsletters, session ids, tokens, order numbers. So little is kept (path and
listed parameters of a page, origin of a referrer), and of that every part that looks as if it
told who somebody is becomes a placeholder such as ``:email``.

Nothing here raises or returns its input unchecked: what cannot be read is None. The time taken is
linear in the length of the text, whatever it holds.
"""

import re
import unicodedata
from collections.abc import Set as AbstractSet
from urllib.parse import unquote

LONGEST_URL = 2048
LONGEST_PAGE = 512
LONGEST_PART = 100  # of a path's segment, a parameter's value, or search terms
LONGEST_NAME = 64
DEPTH = 3  # how often a text may be percent-encoded

_WEB = re.compile(r"https?://[^/\\?#]*", re.IGNORECASE)
_ORIGIN = re.compile(
    r"(?P<scheme>https?|android-app)://(?:[^/\\?#]*@)?(?P<host>[^/\\?#@:]+)(?::\d*)?(?:[/\\?#]|$)"
)
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9_-]{0,62}")
_NAME = re.compile(r"[a-z0-9_.:-]*")

# Most segments of most paths: too plain or too short for any of what follows.
_TAME = re.compile(r"[a-z_.-]{0,31}|[A-Za-z0-9_.-]{0,6}")
# Each repetition is bounded, so no text makes these slow. A group's name is the placeholder.
_PERSONAL = re.compile(
    r"(?P<email>@)"
    r"|(?P<id>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
    r"|(?P<address>\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}:[0-9a-f]{0,4}:)"
    r"|(?P<number>(?:\d[ ().+_-]{0,2}){9})"  # telephone numbers are written with gaps
    r"|(?P<token>[0-9a-f]{32}|eyJ[\w-]{8})",  # a digest; a JSON Web Token or part of one
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z0-9]+")
_PLAIN_WORD = re.compile(r"(?:[a-z]*(?:[A-Z][a-z]{2,})*|[A-Z]+)[0-9]{0,4}")


def clean_page(url: str, parameters: AbstractSet[str]) -> str | None:
    """Return the path of a page and those of its query parameters that ``parameters`` names.

    ``url`` is absolute (http, https) or begins with a slash; scheme, host, userinfo, fragment and
    matrix parameters (``;jsessionid=``) are left out, personal parts are replaced by
    placeholders, and what goes beyond 512 characters ends at the segment or parameter before.
    Cleaning a cleaned page changes nothing. "" stays "". None when it cannot be read.
    """
    if not url:
        return ""
    if len(url) > LONGEST_URL or not url.isprintable():
        return None
    if url[0] != "/":
        origin = _WEB.match(url)
        if origin is None:
            return None
        url = url[origin.end() :]
    path, _, query = url.partition("#")[0].partition("?")
    segments = path.replace("\\", "/").split("/")
    path = "/".join([_masked(segment.partition(";")[0]) for segment in segments])
    page = "/" + path.lstrip("/")
    if len(page) > LONGEST_PAGE:
        return page[: page.rindex("/", 0, LONGEST_PAGE + 1)]
    if query:
        mark = "?"
        for parameter in re.split("[&;?]", query):
            name, equals, value = parameter.partition("=")
            if name in parameters:
                kept = f"{mark}{name}{equals}{_masked(value)}"
                if len(page) + len(kept) > LONGEST_PAGE:
                    break
                page += kept
                mark = "&"
    return page


def clean_referrer(url: str) -> str | None:
    """Return the origin of a referrer without its port, such as ``https://search.example``.

    Internationalised names come out in their ASCII form. "" stays "". None for what is no
    http, https or android-app URL, and for hosts that name a machine and not a site: an IP
    address, a name without a dot, one that holds an id.
    """
    if not url:
        return ""
    if len(url) > LONGEST_URL or not url.isprintable():
        return None
    origin = _ORIGIN.match(url.lower())
    host = origin and _site_host(origin["host"].removesuffix("."))
    return f"{origin['scheme']}://{host}" if origin and host else None


def _site_host(host: str) -> str | None:
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    if len(host) > 253 or not _HOST.fullmatch(host) or _PERSONAL.search(host):
        return None
    # The ASCII form of an internationalised label looks like a token and is none.
    labels = [label for label in host.split(".") if not label.startswith("xn--")]
    return None if any(map(_is_token, labels)) else host


def clean_terms(text: str) -> str | None:
    """Return search terms in lower case, spaces collapsed, cut to 100 characters.

    For sites that opted in only. None when any part looks personal: what is left of terms with a
    name beside a masked telephone number would still be about a person.
    """
    text = " ".join(text[:LONGEST_URL].split())
    if _placeholder(text):
        return None
    return text.lower()[:LONGEST_PART].rstrip()


def clean_name(text: str) -> str | None:
    """Return the name of a click or custom event in lower case.

    None when it is longer than 64 characters, holds others than ``a-z 0-9 _ . : -``, or looks
    personal: names are a site's own words for what happened.
    """
    if len(text) > LONGEST_NAME:
        return None
    name = text.lower()
    return None if not _NAME.fullmatch(name) or _placeholder(text) else name


def _masked(part: str) -> str:
    if _TAME.fullmatch(part):
        return part
    return _placeholder(part) or (part if len(part) <= LONGEST_PART else ":long")


def _placeholder(text: str) -> str | None:
    """Return what must stand in place of ``text``; None when it may stay.

    Every form is looked at on the way from the text as it is to its last percent-decoding: a
    number may appear by decoding, and disappear by it.
    """
    for _ in range(DEPTH + 1):
        form = text if text.isascii() else unicodedata.normalize("NFKC", text)
        found = _PERSONAL.search(form)
        if found:
            return f":{found.lastgroup}"
        if not form.isprintable():
            return ":unreadable"
        decoded = unquote(text)
        if decoded == text:
            return ":token" if _is_token(form) else None
        text = decoded
    return ":unreadable"


def _is_token(text: str) -> bool:
    """Tell random letters and digits from words: ``x7Kp2mQ9vT4z`` from ``Top-10-for-iPhone15``.

    Plain words have one case or are CamelCase, and may end in a year. Twelve odd characters in
    one word, or sixteen in all (base64url tokens hold hyphens), make a token. Random letters of
    one case pass for a word.
    """
    if len(text) < 12:
        return False
    odd = [len(word) for word in _WORD.findall(text) if not _PLAIN_WORD.fullmatch(word)]
    return bool(odd) and (max(odd) >= 12 or sum(odd) >= 16)
