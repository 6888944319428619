"""Whatever is planted in a URL, and wherever, it does not come out."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import quote, unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.urls import clean_name, clean_page, clean_referrer, clean_terms

KEPT = frozenset({"utm_source"})
Encoder = Callable[[str], str]
thorough = settings(max_examples=400, deadline=None)
ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

words = st.text(ALNUM, min_size=1, max_size=12)
emails = st.builds("{}.{}@{}.example".format, words, words, words)
uuids = st.uuids().map(str) | st.uuids().map(lambda each: str(each).upper())
hexes = st.binary(min_size=16, max_size=32).map(bytes.hex)
tokens = st.builds(
    "eyJhbGciOiJIUzI1NiJ9.{}.{}".format,
    st.text(ALNUM + "-_", min_size=20, max_size=60),
    st.text(ALNUM + "-_", min_size=20, max_size=43),
)
ipv4 = st.sampled_from(["192.0.2.{}", "198.51.100.{}", "203.0.113.{}"]).flatmap(
    lambda form: st.integers(0, 255).map(form.format)
)
ipv6 = st.integers(0, 2**96 - 1).map(
    lambda tail: "2001:db8:" + ":".join(f"{tail >> 16 * i & 0xFFFF:x}" for i in range(6))
) | st.integers(1, 0xFFFF).map("2001:db8::{:x}".format)
phones = st.builds(
    "{}{}{}{}{}{}{}".format,
    st.sampled_from(["+31", "0031", "(020)", "020"]),
    *[st.sampled_from(["", "-", ".", " ", "+"]), st.integers(100, 999)] * 3,
)
secrets = st.one_of(emails, uuids, hexes, tokens, ipv4, ipv6, phones)


def encode_all(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def encode_needed(text: str) -> str:
    return quote(text, safe="")


encodings = st.lists(st.sampled_from([encode_all, encode_needed]), max_size=2)
places = st.sampled_from(
    [
        "https://shop.example/{}",
        "https://shop.example/a/user-{}/b",
        "/a/{}x/b",
        "/a.{}.html?utm_source=x",
        "/a;id={}/b",
        "/a?utm_source={}",
        "/a?utm_source=b-{}-c&x=1",
        "/a?email={}&utm_source=x",
        "/a?{}",
        "/a?x=1;utm_source={}",
        "/a#{}",
        "/a?utm_source=x#{}",
        "https://{}@shop.example/a",
        "https://jan:{}@shop.example/a",
        "https://{}.shop.example/a",
        "//{}@shop.example/a",
        "/https://jan:{}@shop.example/a",
    ]
)


def forms(text: str | None) -> list[str]:
    """Return the text and what repeated percent-decoding makes of it."""
    found = [text or ""]
    while (decoded := unquote(found[-1])) != found[-1]:
        found.append(decoded)
    return found


def encoded(secret: str, encoders: Sequence[Encoder]) -> str:
    for encode in encoders:
        secret = encode(secret)
    return secret


def told(secret: str, text: str | None) -> bool:
    """Tell whether the text tells the secret; of a telephone number the digits are enough."""
    if re.fullmatch(r"[\d+(). -]+", secret) and secret.count(".") != 3:
        digits = re.sub(r"\D", "", secret)
        return any(digits in re.sub(r"\D", "", form) for form in forms(text))
    return any(secret.lower() in form.lower() for form in forms(text))


@thorough
@given(secrets, encodings, places)
def test_a_planted_secret_never_comes_out_of_a_page(
    secret: str, encoders: Sequence[Encoder], place: str
) -> None:
    url = place.format(encoded(secret, encoders))
    assert told(secret, url)
    assert not told(secret, clean_page(url, KEPT))


@thorough
@given(secrets, encodings, places)
def test_a_planted_secret_never_comes_out_of_a_referrer(
    secret: str, encoders: Sequence[Encoder], place: str
) -> None:
    assert not told(secret, clean_referrer(place.format(encoded(secret, encoders))))


@thorough
@given(secrets, encodings, st.sampled_from(["{}", "who is {}", "{}?", "a:{}"]))
def test_a_planted_secret_never_comes_out_of_terms_and_names(
    secret: str, encoders: Sequence[Encoder], place: str
) -> None:
    text = place.format(encoded(secret, encoders))
    assert not told(secret, clean_terms(text))
    assert not told(secret, clean_name(text))


awkward = st.text("/?&;=%:@#.-+\\ aAzZ019é٣\u3002\x00\ud800", max_size=80) | st.text(max_size=80)
pages = st.builds(
    str.__add__,
    st.sampled_from(["", "/", "http://a.example/", "https://", "/a?utm_source="]),
    awkward,
)


@thorough
@given(pages)
def test_anything_gives_a_short_printable_text_or_none(text: str) -> None:
    """Never an exception, and never what cannot be stored or shown."""
    for kept, most in (
        (clean_page(text, KEPT), 512),
        (clean_referrer(text), 300),
        (clean_terms(text), 100),
        (clean_name(text), 64),
    ):
        assert kept is None or (len(kept) <= most and kept.isprintable())


@thorough
@given(pages | st.builds("/{}/{}/{}".format, secrets, secrets, pages))
def test_cleaning_again_changes_nothing(text: str) -> None:
    page = clean_page(text, KEPT)
    assert page is None or clean_page(page, KEPT) == page
    referrer = clean_referrer(text)
    assert referrer is None or clean_referrer(referrer) == referrer
