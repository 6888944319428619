import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from privacy.certificate import canonical

texts = st.text(st.characters(exclude_categories=["Cs"]))
contents = st.dictionaries(
    texts,
    st.recursive(
        texts | st.booleans() | st.integers(-(2**53), 2**53),
        lambda each: st.lists(each) | st.dictionaries(texts, each),
        max_leaves=10,
    ),
)


def turned(value: Any) -> Any:
    """Return the same content with its keys in another order."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(list(value))}
    return [turned(each) for each in value] if isinstance(value, list) else value


@given(contents)
def test_what_is_signed_does_not_depend_on_the_order_of_keys(content: dict[str, Any]) -> None:
    assert canonical(turned(content)) == canonical(content)


@given(contents)
def test_what_was_stored_and_read_again_is_signed_the_same(content: dict[str, Any]) -> None:
    assert canonical(json.loads(canonical(content))) == canonical(content)
    assert canonical(json.loads(json.dumps(content, indent=1))) == canonical(content)
