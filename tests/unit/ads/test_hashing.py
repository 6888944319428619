"""What identifies a person is normalised and hashed exactly as each provider asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.ads.hashing import email, hashed, member, phone

# The providers' own examples: plain text and what its hash begins with.
VECTORS = [
    ("cloudysanfrancisco@gmail.com", "223ebda6f688"),
    ("john_smith@gmail.com", "62a14e44"),
    ("16505551212", "e323ec62"),
    ("+11234567890", "1fa6b8d9"),
    ("test@twitter.com", "d360d510"),  # X's page says that this is of test@x.com
    ("test@x.com", "5806dc6b"),
]


@pytest.mark.parametrize(("text", "digest"), VECTORS)
def test_the_vectors_of_the_providers(text: str, digest: str) -> None:
    assert hashed(text).startswith(digest)
    assert len(hashed(text)) == 64


@pytest.mark.parametrize(
    "text",
    [
        " Cloudy.SanFrancisco@Gmail.com\n",
        "cloudysanfrancisco+news@gmail.com",
        "cloudy sanfrancisco@gmail.com",
    ],
)
def test_google_takes_spaces_dots_and_suffix_out_of_gmail(text: str) -> None:
    assert hashed(email(text, spaces=False, gmail=True)).startswith("223ebda6f688")


def test_google_knows_googlemail_and_leaves_every_other_mailbox_its_dots() -> None:
    assert email("a.b+c@googlemail.com", gmail=True) == "ab@googlemail.com"
    assert email("a.b+c@example.com", gmail=True) == "a.b+c@example.com"
    assert email("a.b+c@gmail.com.example", gmail=True) == "a.b+c@gmail.com.example"


def test_the_others_keep_dots_and_suffix_of_gmail() -> None:
    assert hashed(email(" John_Smith@gmail.com ")).startswith("62a14e44")
    assert email("J.Doe+a@Gmail.com") == "j.doe+a@gmail.com"


@pytest.mark.parametrize("text", ["+1 (650) 555-1212", "1.650.555.1212", "001 650 555 1212"])
def test_a_phone_number_without_plus_and_leading_zeros(text: str) -> None:
    assert hashed(phone(text, plus=False)).startswith("e323ec62")


def test_a_phone_number_with_plus() -> None:
    assert hashed(phone("+1 123 456-7890", plus=True)).startswith("1fa6b8d9")


def test_digits_of_other_scripts_are_no_phone_number() -> None:
    assert phone("١٢٣", plus=False) == ""


@given(st.text())
def test_nothing_is_hashed_twice(text: str) -> None:
    once = hashed(text)
    assert hashed(once) == once
    assert hashed(once.upper()) == once
    assert hashed(email(once)) == once
    assert hashed(phone(once, plus=True)) == once


@pytest.mark.parametrize("text", ["a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n", f" {'a' * 64}"])
def test_only_exactly_64_hexadecimal_digits_are_a_hash(text: str) -> None:
    assert hashed(text) != text
    assert len(hashed(text)) == 64


def test_a_member_of_one_site_is_nobody_on_another() -> None:
    here, there = member("shop.example", "c-1"), member("www.example", "c-1")
    assert here == hashed("shop.example|c-1")
    assert here != there
