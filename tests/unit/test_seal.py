import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.keys.answers import open_answer, seal_answer
from sinks.keys.seal import NotSealedError, new_key, seal, unseal

KEY, OTHER = new_key(), new_key()
WHERE = {"site": "shop.example", "case_id": "c-1"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(st.dictionaries(st.sampled_from(["email", "city", "remarks"]), TEXTS))
def test_what_was_sealed_is_opened_again(fields: dict[str, str]) -> None:
    assert unseal(KEY, seal(KEY, fields, **WHERE), **WHERE) == fields


def test_nothing_sealed_looks_like_what_it_was_or_like_another() -> None:
    fields = {"city": "Ghent", "town": "Ghent"}
    sealed = [*seal(KEY, fields, **WHERE).values(), *seal(KEY, fields, **WHERE).values()]
    assert len(set(sealed)) == len({each[:12] for each in sealed}) == 4
    assert not any(b"Ghent" in each for each in sealed)


@pytest.mark.parametrize(
    "elsewhere", [{"site": "www.example"}, {"case_id": "c-2"}, {"version": 2}], ids=str
)
def test_what_is_sealed_stays_in_its_place(elsewhere: dict[str, str]) -> None:
    sealed = seal(KEY, {"city": "Ghent"}, **WHERE)
    with pytest.raises(NotSealedError):
        unseal(KEY, sealed, **WHERE | elsewhere)
    with pytest.raises(NotSealedError):
        unseal(KEY, {"town": sealed["city"]}, **WHERE)


@given(st.binary(max_size=40) | st.integers(0, 32).map(lambda at: at.to_bytes()))
def test_other_bytes_are_refused(other: bytes) -> None:
    with pytest.raises(NotSealedError):
        unseal(KEY, {"city": other}, **WHERE)


@given(at=st.integers(0, 12 + 5 + 16 - 1), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(at: int, bit: int) -> None:
    sealed = bytearray(seal(KEY, {"city": "Ghent"}, **WHERE)["city"])
    sealed[at] ^= 1 << bit
    with pytest.raises(NotSealedError):
        unseal(KEY, {"city": bytes(sealed)}, **WHERE)


def test_another_key_opens_nothing_and_no_value_is_told() -> None:
    with pytest.raises(NotSealedError) as refused:
        unseal(OTHER, seal(KEY, {"city": "Ghent"}, **WHERE), **WHERE)
    assert "Ghent" not in repr(refused.value)


@given(st.binary(max_size=200))
def test_s17_an_answer_is_opened_by_its_token_alone(content: bytes) -> None:
    sealed = seal_answer("token", content)
    assert open_answer("token", sealed) == content
    assert seal_answer("token", content) != sealed
    with pytest.raises(NotSealedError):
        open_answer("tokem", sealed)


@given(st.binary(max_size=40))
def test_what_is_no_answer_is_refused(other: bytes) -> None:
    with pytest.raises(NotSealedError):
        open_answer("token", other)
