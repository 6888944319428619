import pytest

from privacy.unsubscribe import Subscription, read, token

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
KEYS = {"k1": OLD, "k2": NEW}
CASE = "0a1b2c3d-0000-4000-8000-000000000001"


def test_s5_a_token_names_its_subscription() -> None:
    assert read(KEYS, token(KEYS, CASE, "newsletter")) == Subscription(CASE, "newsletter")


def test_the_newest_key_signs() -> None:
    assert token(KEYS, CASE, "newsletter").startswith("k2.")


def test_a_token_of_an_older_key_still_ends_a_subscription() -> None:
    old = token({"k1": OLD}, CASE, "newsletter")
    assert read(KEYS, old) == Subscription(CASE, "newsletter")


def test_a_token_of_a_removed_key_is_refused() -> None:
    old = token({"k1": OLD}, CASE, "newsletter")
    assert read({"k2": NEW}, old) is None


def test_a_key_under_another_id_is_another_key() -> None:
    assert read({"k2": OLD}, token({"k1": OLD}, CASE, "newsletter").replace("k1", "k2")) is None


def test_it_fits_into_an_address() -> None:
    found = token(KEYS, CASE, "newsletter")
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@pytest.mark.parametrize("text", ["", "....", "a.b.c", "k2.newsletter.x.", "\ud800", "k2.é.é.é"])
def test_anything_else_is_refused(text: str) -> None:
    assert read(KEYS, text) is None


def test_one_that_only_means_the_same_is_refused() -> None:
    content, _, signature = token(KEYS, CASE, "newsletter").rpartition(".")
    assert read(KEYS, f"{content}.{signature.upper()}") is None
