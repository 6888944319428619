from hypothesis import given
from hypothesis import strategies as st

from privacy import unsubscribe
from privacy.links import answer_id, answer_key, answer_token, confirm_token, read_confirm

keys = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), st.binary(min_size=32, max_size=32), min_size=1
)
requests = st.uuids(version=4).map(str)
moments = st.integers(0, 2**40)


@given(keys, requests, moments, moments)
def test_what_is_signed_confirms_until_it_is_over(
    known: dict[str, bytes], request_id: str, expires: int, now: int
) -> None:
    expected = request_id if now < expires else None
    assert read_confirm(known, confirm_token(known, request_id, expires), now) == expected


@given(keys, requests, st.integers(1, 2**40), st.data())
def test_a_changed_byte_is_refused(
    known: dict[str, bytes], request_id: str, expires: int, data: st.DataObject
) -> None:
    whole = confirm_token(known, request_id, expires)
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.characters().filter(lambda each: each != whole[place]))
    assert read_confirm(known, whole[:place] + other + whole[place + 1 :], 0) is None


@given(keys, st.text())
def test_any_text_is_refused(known: dict[str, bytes], text: str) -> None:
    assert read_confirm(known, text, 0) is None


@given(keys, requests)
def test_a_link_of_one_kind_is_none_of_another(known: dict[str, bytes], name: str) -> None:
    """Also where both are signed with the same keys."""
    confirms = confirm_token(known, name, 2)
    assert unsubscribe.read(known, confirms) is None
    assert read_confirm(known, unsubscribe.token(known, "2", name), 0) is None


@given(st.binary(min_size=32, max_size=32), requests)
def test_an_answer_is_named_and_opened_by_its_token_alone(key: bytes, request_id: str) -> None:
    token = answer_token(key, request_id)
    assert token == answer_token(key, request_id)

    name, opens = answer_id(token), answer_key(token)
    assert name != opens.hex()
    assert token not in name
    assert (answer_id(token[:-1]), answer_key(token[:-1])) != (name, opens)


@given(st.text())
def test_any_text_has_a_name(token: str) -> None:
    """One that nothing is kept under; what a stranger may send cannot break it."""
    assert len(answer_id(token)) == 64
