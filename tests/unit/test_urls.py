"""What is kept of URLs, search terms and names, case by case."""

from collections.abc import Callable
from time import process_time
from timeit import repeat

import pytest

from privacy import urls
from privacy.urls import clean_name, clean_page, clean_referrer, clean_terms

KEPT = frozenset({"utm_source", "size"})
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW4ifQ.Zm9yZ2Vk"


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("", ""),
        ("/", "/"),
        ("https://shop.example", "/"),
        ("https://shop.example?size=42", "/?size=42"),
        ("HTTPS://Shop.Example/Sale", "/Sale"),
        ("https://jan:secret@shop.example/sale", "/sale"),
        ("https://[2001:db8::1]:8080/sale", "/sale"),
        (
            "/products/7/blue-shoes?utm_source=x&size=42",
            "/products/7/blue-shoes?utm_source=x&size=42",
        ),
        ("/p?size=42&session=1&utm_source=x", "/p?size=42&utm_source=x"),
        ("/p?session=1", "/p"),
        ("/p?size", "/p?size"),
        ("/p?size=1&size=2", "/p?size=1&size=2"),
        ("/p?Size=42&utm%5Fsource=x", "/p"),
        ("/p?size=1;session=2", "/p?size=1"),
        ("/p?size=1?session=2", "/p?size=1"),
        ("/p#jan", "/p"),
        ("/p#jan?size=1", "/p"),
        ("/p;jsessionid=1/q;v=2?size=1", "/p/q?size=1"),
        ("//evil.example/p", "/evil.example/p"),
        (r"/a\b", "/a/b"),
        ("/;v=1//p", "/p"),
        ("/caf%C3%A9/café", "/caf%C3%A9/café"),
    ],
)
def test_a_page_is_its_path_and_the_listed_parameters(url: str, page: str) -> None:
    assert clean_page(url, KEPT) == page


@pytest.mark.parametrize(
    ("segment", "placeholder"),
    [
        ("jan@example.org", ":email"),
        ("for-jan@example.org-only", ":email"),
        ("jan%40example.org", ":email"),
        ("jan%2540example.org", ":email"),
        ("jan\uff20example.org", ":email"),
        ("@jan", ":email"),
        ("0F8FAD5B-D9CB-469F-A165-70867728950E", ":id"),
        ("192.0.2.44", ":address"),
        ("host-192.0.2.44.html", ":address"),
        ("2001:db8::7", ":address"),
        ("2001%3Adb8%3A%3A7", ":address"),
        ("0205550123", ":number"),
        ("+31-20-555-0123", ":number"),
        ("(020)%20555%2001%2023", ":number"),
        ("06-12-34-56-78", ":number"),
        ("06.12.34.56.78", ":address"),
        ("\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", ":number"),
        ("d41d8cd98f00b204e9800998ecf8427e", ":token"),
        ("dead" * 8, ":token"),
        (JWT, ":token"),
        (JWT.partition(".")[0], ":token"),
        ("x7Kp2mQ9vT4z", ":token"),
        ("Xa3-9fKq_Lm2Zt8-Qw4Rb6", ":token"),
        ("a%00b", ":unreadable"),
        ("%252525ab", ":unreadable"),
        ("a-very-long-title-" * 6, ":long"),
    ],
)
def test_what_may_tell_who_somebody_is_becomes_a_placeholder(
    segment: str, placeholder: str
) -> None:
    """In a path and, by the same rules, in the value of a listed parameter."""
    assert clean_page(f"/a/{segment}/b", KEPT) == f"/a/{placeholder}/b"
    assert clean_page(f"/a?size={segment}&utm_source=b", KEPT) == (
        f"/a?size={placeholder}&utm_source=b"
    )


@pytest.mark.parametrize(
    "segment",
    [
        "Top-10-things-to-do-in-Berlin-2026",
        "iPhone15-256GB",
        "flashback2010",
        "AbstractSingletonProxyFactoryBean.html",
        "datenschutzgrundverordnung",
        "12345678",
        "2026-11-24",
        "v1.2.3",
        "why%20did%20this%20take%20all%20night",
        "Talk:Main_Page",
        "100%25",
        ":email",
    ],
)
def test_ordinary_segments_stay(segment: str) -> None:
    assert clean_page(f"/{segment}", KEPT) == f"/{segment}"


@pytest.mark.parametrize(
    "url",
    [
        "products/7",
        "?size=42",
        "mailto:jan@example.org",
        "javascript:alert(1)",
        "file:///home/jan/notes.html",
        "about:blank",
        "https:/shop.example/",
        "/p\x00",
        "/p\n/q",
        "/p\u202e",
        "/p\ud800",
        "/" + "a" * 2048,
    ],
)
def test_a_page_that_cannot_be_read_is_none(url: str) -> None:
    assert clean_page(url, KEPT) is None


def test_a_long_page_ends_at_a_segment_or_parameter() -> None:
    assert clean_page("/segment" * 100, KEPT) == "/segment" * 64
    many = "&".join(["size=42"] * 100)
    assert clean_page(f"/p?{many}", KEPT) == "/p?" + "&".join(["size=42"] * 63)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("", ""),
        ("https://www.Google.com/search?q=jan", "https://www.google.com"),
        ("http://news.example", "http://news.example"),
        ("https://news.example?x", "https://news.example"),
        ("https://jan:p@ss@mail.example:8443/inbox", "https://mail.example"),
        ("https://news.example./", "https://news.example"),
        ("https://Bücher.example/", "https://xn--bcher-kva.example"),
        ("https://xn--80ak6aa92e7b5c3d1f.example/", "https://xn--80ak6aa92e7b5c3d1f.example"),
        ("android-app://com.google.android.gm/", "android-app://com.google.android.gm"),
    ],
)
def test_a_referrer_is_its_origin(url: str, origin: str) -> None:
    assert clean_referrer(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "-",
        "news.example",
        "/inbox",
        "ftp://news.example/",
        "mailto:jan@example.org",
        "https://",
        "https:///inbox",
        "https://192.0.2.44/",
        "https://3221225985/",
        "https://0xc0.0x00.0x02.0x01/",
        "https://\uff11\uff19\uff12.0.2.44/",
        "https://[2001:db8::1]/",
        "https://192.0.2.44.dsl.example/",
        "https://localhost/",
        "https://jans-laptop:3000/",
        "https://d41d8cd98f00b204e9800998ecf8427e.ads.example/",
        "https://x7kp2mq9vt4z.ads.example/",
        "https://news.example:secret/",
        "https://jan%40news.example/",
        "https://news..example/",
        "https://ex\u00adample\x00.org/",
        "https://" + "a." * 200 + "example/",
        "https://news.example/" + "a" * 2048,
    ],
)
def test_a_referrer_that_is_no_site_is_none(url: str) -> None:
    assert clean_referrer(url) is None


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ""),
        ("  Blue \t Shoes\n42 ", "blue shoes 42"),
        ("MÜNCHEN", "münchen"),
        ("word " * 40, ("word " * 20).strip()),
        ("jan@example.org", None),
        ("jan%40example.org", None),
        ("call 020 555 0123", None),
        ("order 100200300400", None),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", None),
        (JWT, None),
        ("who is 192.0.2.44", None),
        ("x\x00y", None),
    ],
)
def test_search_terms_are_lower_case_or_refused_whole(text: str, terms: str | None) -> None:
    assert clean_terms(text) == terms


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", ""),
        ("Add-To-Cart", "add-to-cart"),
        ("video.play:50_percent", "video.play:50_percent"),
        ("play" * 16, "play" * 16),
        ("play" * 16 + "s", None),
        ("add to cart", None),
        ("jan@example.org", None),
        ("user:100200300", None),
        ("user:x7Kp2mQ9vT4z", None),
        ("192.0.2.44", None),
        ("käufe", None),
        ("\u212aelvin", "kelvin"),
    ],
)
def test_names_are_of_few_characters(text: str, name: str | None) -> None:
    assert clean_name(text) == name


@pytest.mark.parametrize(
    "unit",
    [
        "-",
        "%",
        "%25",
        "a=",
        "0-0-",
        "1.1.",
        "aA",
        "a:b",
        "é",
        "\u0661a",
        "eyJ",
        "(",
        ";",
        "/",
        "//?",
    ],
)
@pytest.mark.parametrize(
    "look",
    [
        urls._placeholder,
        urls._WEB.match,
        urls._ORIGIN.match,
        urls._HOST.fullmatch,
        urls._is_token,
        lambda text: urls._ORIGIN.match("https://" + text),
        lambda text: urls._ORIGIN.match("https://@" + text + "@"),
    ],
)
def test_time_grows_with_length_and_no_faster(look: Callable[[str], object], unit: str) -> None:
    """Sixteen times the text: about sixteen times as long; quadratic would be 256 times."""

    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        return min(repeat(lambda: look(text), timer=process_time, number=1, repeat=3))

    assert seconds(8_000) < 64 * max(seconds(500), 20e-6)
