"""Families, versions and robots of real user agents; and what custom ones must not bring along."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.user_agents import FAMILIES, NONE, OTHER, Browser, parse

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
ANDROID = "Mozilla/5.0 (Linux; Android 15; {}) AppleWebKit/537.36 (KHTML, like Gecko)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"


@pytest.mark.parametrize(
    ("user_agent", "family", "version"),
    [
        (f"{WINDOWS} {CHROME} Safari/537.36", "Chrome", "142"),
        (f"{WINDOWS} {CHROME} Safari/537.36 Edg/142.0.0.0", "Edge", "142"),
        (f"{WINDOWS} {CHROME} Safari/537.36 OPR/124.0.0.0", "Opera", "124"),
        (f"{WINDOWS} {CHROME} Safari/537.36 Vivaldi/7.6.3797.63", "Vivaldi", "7"),
        (f"{WINDOWS} {CHROME} YaBrowser/25.8.0.0 Safari/537.36", "Yandex Browser", "25"),
        (
            f"{WINDOWS[:-1]}; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Firefox",
            "145",
        ),
        ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", "IE", "11"),
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)", "IE", "8"),
        ("Mozilla/5.0 (compatible;MSIE 9.0; Windows NT 6.1; Trident/5.0)", "IE", "9"),
        ("Mozilla/5.0 (compatible; Konqueror/4.5; Linux) KHTML/4.5.4", "Konqueror", "4"),
        (
            f"{IPHONE} (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
            "Mobile Safari",
            "18",
        ),
        (
            f"{IPHONE} (KHTML, like Gecko) CriOS/142.0.7444.46 Mobile/15E148 Safari/604.1",
            "Chrome Mobile iOS",
            "142",
        ),
        (f"{IPHONE} (KHTML, like Gecko) FxiOS/145.0 Mobile/15E148", "Firefox iOS", "145"),
        (
            f"{ANDROID.format('Pixel 9')} Chrome/142.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile",
            "142",
        ),
        (
            f"{ANDROID.format('CUBOT X70')} Chrome/142.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile",
            "142",
        ),
        (
            f"{ANDROID.format('SM-S931B')} SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36",
            "Samsung Internet",
            "28",
        ),
        ("Opera/9.80 (Android; Opera Mini/7.5/34; U; de) Presto/2.8.119", "Opera Mini", "7"),
        ("okhttp/4.12.0", "okhttp", "4"),
        ("Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9 Build/AP4A)", "Android", "15"),
        ("MyShop/3.1 CFNetwork/1568.200.51 Darwin/24.1.0", OTHER, ""),
    ],
)
def test_people(user_agent: str, family: str, version: str) -> None:
    assert parse(user_agent) == Browser(family, version, bot=False)


@pytest.mark.parametrize(
    ("user_agent", "family"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot"),
        (f"{WINDOWS} {CHROME} Safari/537.36 (compatible; Google-InspectionTool/1.0;)", OTHER),
        (f"{WINDOWS} {CHROME} Safari/537.36 Google Favicon", "Chrome"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot"),
        ("Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/slurp)", "Yahoo! Slurp"),
        ("Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/s)", "Baiduspider"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", OTHER),
        ("Mozilla/5.0 (compatible; Ezooms/1.0; help@moz.example)", OTHER),
        ("Mozilla/5.0 (compatible; Twingly Recon; twingly.example)", OTHER),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit)", "FacebookBot"),
        (f"{WINDOWS} AppleWebKit/537.36 HeadlessChrome/142.0.0.0 Safari/537.36", "HeadlessChrome"),
        ("FeedBurner/1.0 (http://www.FeedBurner.com)", OTHER),
        ("nutch-1.4/Nutch-1.4", OTHER),
        ("curl/8.14.1", "curl"),
        ("Wget/1.25.0", "Wget"),
        ("python-requests/2.32.5", "Python Requests"),
        ("Python-urllib/3.13", "Python-urllib"),
        ("Go-http-client/2.0", "Go-http-client"),
        ("Apache-HttpClient/4.5.14 (Java/17.0.9)", "Apache-HttpClient"),
        ("axios/1.12.2", "axios"),
        ("GuzzleHttp/7", OTHER),
    ],
)
def test_robots(user_agent: str, family: str) -> None:
    browser = parse(user_agent)
    assert (browser.family, browser.bot) == (family, True)


@pytest.mark.parametrize("user_agent", [None, ""])
def test_no_user_agent(user_agent: str | None) -> None:
    assert parse(user_agent) == Browser(NONE, "", bot=False)


@pytest.mark.parametrize(
    "user_agent",
    [
        "Jan Jansen's reader/1.0 CFNetwork/1568 Darwin/24.1.0",
        "jan@example.org-iPhone/2 CFNetwork/1568",
        "JansenBot 1.0",
        "Jansen spider",
        "Peapod/jansen.0",
    ],
)
def test_no_part_of_a_custom_agent_comes_out(user_agent: str) -> None:
    """The parser's family is the agent's own text here."""
    assert parse(user_agent).family == OTHER
    assert parse(user_agent).version == ""


@pytest.mark.parametrize("version", ["20260112", "1234", "\u0661\u0662"])
def test_a_version_that_is_none_is_left_out(version: str) -> None:
    assert parse(f"curl/{version}.0").version == ""


def test_only_the_beginning_of_a_long_agent_counts() -> None:
    assert parse("x" * 512 + " Googlebot/2.1") == Browser(OTHER, "", bot=False)
    assert parse(f"{WINDOWS} {CHROME} Safari/537.36" + " x" * 100_000).family == "Chrome"


@settings(deadline=None)  # the first call builds the parser
@given(
    st.text()
    | st.builds(
        "{}{}/{}{}".format,
        st.sampled_from(["", "Mozilla/5.0 (", "Opera/9.80 ", "\x00", "\ud800"]),
        st.sampled_from([*sorted(FAMILIES), "bot", "x"]),
        st.text(max_size=20) | st.integers(0).map(str),
        st.sampled_from(["", " CFNetwork/1", " Safari/1", ".0.0"]),
    )
)
def test_nothing_but_listed_words_and_small_numbers(user_agent: str) -> None:
    browser = parse(user_agent)
    assert browser.family in FAMILIES | {NONE, OTHER}
    assert browser.version == "" or 0 <= int(browser.version) <= 999
