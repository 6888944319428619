from hypothesis import given
from hypothesis import strategies as st

from privacy.unsubscribe import Subscription, read, token

keys = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), st.binary(min_size=32, max_size=32), min_size=1
)
cases = st.uuids(version=4).map(str)
services = st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)


@given(keys, cases, services)
def test_what_is_signed_is_read(known: dict[str, bytes], case_id: str, name: str) -> None:
    assert read(known, token(known, case_id, name)) == Subscription(case_id, name)


@given(keys, cases, services, st.data())
def test_a_changed_byte_is_refused(
    known: dict[str, bytes], case_id: str, name: str, data: st.DataObject
) -> None:
    whole = token(known, case_id, name)
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.characters().filter(lambda each: each != whole[place]))
    assert read(known, whole[:place] + other + whole[place + 1 :]) is None


@given(keys, st.text())
def test_any_text_is_refused(known: dict[str, bytes], text: str) -> None:
    assert read(known, text) is None
