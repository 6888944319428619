import pytest

from privacy.subjects import subject_id

KEY = bytes(range(32))


@pytest.mark.parametrize("spelling", ["Eva.Smit@Example.com", " eva.smit@example.com\n"])
def test_an_address_has_one_id_however_it_is_spelt(spelling: str) -> None:
    assert subject_id(KEY, spelling) == subject_id(KEY, "eva.smit@example.com")


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert subject_id(KEY, "zoe\u0308@example.com") == subject_id(KEY, "zo\u00eb@example.com")


@pytest.mark.parametrize("other", ["evasmit@example.com", "eva.smit+x@example.com"])
def test_other_addresses_are_other_people(other: str) -> None:
    assert subject_id(KEY, other) != subject_id(KEY, "eva.smit@example.com")


def test_it_tells_nothing_without_the_key() -> None:
    found = subject_id(KEY, "eva.smit@example.com")
    assert found != subject_id(bytes(32), "eva.smit@example.com")
    assert len(found) == 32
    assert "eva" not in found


def test_it_is_the_same_for_ever() -> None:
    """Rows of the ledger carry it: a change would lose whose they are."""
    assert subject_id(KEY, "eva.smit@example.com") == "2d811c0906dbbc2e20d4ebf0c868e1f3"
