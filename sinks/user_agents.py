"""What may be kept of a user agent: the browser's family and major version (S9, S12).

Custom agents carry names, addresses of operators and installation numbers, and ua-parser hands
some of that on as the family: before ``CFNetwork`` it takes whatever stands there. So only the
families listed here come out; every other is ``Other``.

Robots are told by the words they use of themselves, by the link or address of their operator, and
by ``compatible`` where a browser's platform stands. Those that pass for browsers are not
recognised. Apps that send through okhttp, Dalvik or CFNetwork are people's.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from ua_parser import Domain, load_lazy_builtins
from ua_parser.regex import Resolver

LONGEST = 512  # nothing behind it tells browsers apart
NONE, OTHER = "(none)", "Other"

FAMILIES = frozenset(
    """
    Amazon Silk|Android|Apple Mail|Avast Secure Browser|BlackBerry|BlackBerry WebKit|Brave|
    Chrome|Chrome Mobile|Chrome Mobile WebView|Chrome Mobile iOS|Chromium|Coc Coc|DuckDuckGo|
    DuckDuckGo Mobile|Ecosia Android|Ecosia iOS|Edge|Edge Mobile|Electron|Epiphany|Facebook|
    Facebook Messenger|Firefox|Firefox Mobile|Firefox iOS|Flipboard|Google|HbbTV|HeyTap Browser|
    Honor Browser|Huawei Browser|IE|IE Mobile|Iceweasel|Instagram|KakaoTalk|Konqueror|LINE|
    Ladybird|LinkedIn|Maxthon|Microsoft Teams|MiuiBrowser|Mobile Safari|
    Mobile Safari UI/WKWebView|MullvadBrowser|Oculus Browser|Opera|Opera GX|Opera Mini|
    Opera Mobile|Opera Touch|Outlook|Pale Moon|Pinterest|Puffin|QQ Browser|QQ Browser Mobile|
    Safari|Samsung Internet|SeaMonkey|Snapchat|Sogou Explorer|Telegram|Thunderbird|TikTok|
    UC Browser|Vivaldi|VivoBrowser|Waterfox|WeChat Browser|Whale|Yandex Browser|
    Applebot|Baiduspider|bingbot|FacebookBot|GPTBot|Googlebot|Googlebot-Image|HeadlessChrome|
    MJ12bot|PhantomJS|Twitterbot|Yahoo! Slurp|YandexBot|archive.org_bot|msnbot|
    Apache-HttpClient|Go-http-client|Java|PostmanRuntime|Python Requests|Python aiohttp|
    Python-urllib|Wget|axios|curl|libwww-perl|okhttp
    """.replace("\n    ", "").split("|")
)

# Looked for one by one: many times quicker than one regular expression of alternatives.
_BOT_WORDS = tuple(
    """
    bot crawl spider scrap slurp archiv headless phantomjs synthetic lighthouse nutch prerender
    monitor uptime pingdom validator scanner fetch feed preview favicon proxy mediapartners
    google- googleother facebookexternal facebookcatalog meta-external whatsapp
    http: https: www. @
    aiohttp axios curl go-http guzzle http-client http_client httpclient httpie httpx java/ libwww
    lwp- perl/ php/ postman python ruby undici wget
    """.split()  # noqa: SIM905 - a list would be a word a line
)
_MAJOR = re.compile("[0-9]{1,3}")  # more digits are somebody's number
_NO_BROWSER = re.compile(r"compatible;(?! ?(?:msie|konqueror))")


@dataclass(frozen=True, slots=True)
class Browser:
    """A listed family, ``Other``, or ``(none)``; its major version, "" when not known."""

    family: str
    version: str
    bot: bool


@cache
def _resolver() -> Resolver:
    return Resolver(load_lazy_builtins())


@lru_cache(maxsize=20_000)
def parse(user_agent: str | None) -> Browser:
    """Tell the browser of a User-Agent header. Never raises, never repeats parts of the text."""
    if not user_agent:
        return Browser(NONE, "", bot=False)
    if not user_agent.isprintable():
        return Browser(OTHER, "", bot=False)
    text = user_agent[:LONGEST]
    bot = _is_bot(text.lower())
    found = _resolver()(text, Domain.USER_AGENT).user_agent
    if found is None or found.family not in FAMILIES:
        return Browser(OTHER, "", bot)
    major = found.major or ""
    return Browser(found.family, major if _MAJOR.fullmatch(major) else "", bot)


def _is_bot(text: str) -> bool:
    text = text.replace("cubot", "")  # a maker of telephones
    return any(word in text for word in _BOT_WORDS) or _NO_BROWSER.search(text) is not None
