"""Whatever is taken out of a valid policy, or put into it: it loads, or the keys are named."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from privacy.lifecycle import LifeCycleName
from privacy.policy import FieldKind, ListKind
from streams.policy import PolicyError, parse

POLICIES = Path(__file__).parents[3] / "deploy" / "policy"
CONTENT: dict[str, Any] = tomllib.loads((POLICIES / "reference.toml").read_text())
SECRET = "c7 wholly secret"  # no name: one that leads nowhere is told

Keys = tuple[str, ...]


def leaves(content: dict[str, Any], above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {inline(each)}' for key, each in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value)


def written(pairs: list[tuple[Keys, Any]]) -> str:
    """Write a line for each pair, so that its line is its place in the list."""
    return "\n".join(f"{'.'.join(keys)} = {inline(value)}" for keys, value in pairs)


LEAVES = list(leaves(CONTENT))
PREFIXES = sorted({keys[:n] for keys, _ in LEAVES for n in range(1, len(keys) + 1)})

values = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.just(SECRET) | st.just(""),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("page"), inner, max_size=1),
    max_leaves=4,
)


def problems(text: str) -> list[str]:
    try:
        parse(text, "p.toml")
    except PolicyError as error:
        return list(error.problems)
    return []


def under(prefix: Keys, keys: Keys) -> bool:
    return keys[: len(prefix)] == prefix


def told(problem: str) -> tuple[int, Keys]:
    match = re.fullmatch(r"p\.toml:(\d+): ([a-z0-9_.-]+)(\[.*?|\..*?)*: .+; .+", problem)
    assert match, problem
    return int(match[1]), tuple(match[2].split("."))


@given(st.sets(st.sampled_from(PREFIXES), max_size=6))
def test_a_part_of_a_policy_loads_or_names_keys_and_their_lines(gone: set[Keys]) -> None:
    kept = [pair for pair in LEAVES if not any(under(prefix, pair[0]) for prefix in gone)]
    for line, keys in map(told, problems(written(kept))):
        # What is missing is told of what it is missing from.
        there = next(
            (n for end in range(len(keys), 0, -1) for n, (each, _) in enumerate(kept, 1)
             if under(keys[:end], each)), 1,
        )  # fmt: skip
        assert line == there


@given(st.sampled_from(PREFIXES), values)
def test_a_value_of_any_kind_loads_or_its_key_is_named_but_not_the_value(
    where: Keys, value: Any
) -> None:
    kept = [pair for pair in LEAVES if not under(where, pair[0])]
    found = problems(written([*kept, (where, value)]))
    for problem in found:
        assert re.match(r"p\.toml:\d+: [a-z]", problem), problem
        assert SECRET not in problem


@pytest.mark.parametrize("name", ["minimal.toml", "reference.toml"])
def test_the_policies_that_ship_are_in_order(name: str) -> None:
    assert problems((POLICIES / name).read_text()) == []


def test_the_minimal_policy_is_the_least() -> None:
    content = tomllib.loads((POLICIES / "minimal.toml").read_text())
    for gone, _ in leaves(content):
        assert problems(written([pair for pair in leaves(content) if pair[0] != gone])), gone


def parts(part: BaseModel) -> Iterator[BaseModel]:
    """Yield a part of a policy and all below it."""
    yield part
    for _, value in part:
        for each in value.values() if isinstance(value, Mapping) else [value]:
            if isinstance(each, BaseModel):
                yield from parts(each)


def test_the_reference_policy_uses_every_key_provider_and_life_cycle() -> None:
    policy = parse((POLICIES / "reference.toml").read_text(), "reference.toml")
    used = {key for keys, _ in LEAVES for key in keys}
    for part in parts(policy):
        assert set(type(part).model_fields) <= used
    assert list(policy.providers) == ["ga4", "google-ads", "linkedin", "meta", "x"]
    services = policy.services.values()
    assert {each.life_cycle for each in services} == set(LifeCycleName)
    assert {each.list for each in services} - {None} == set(policy.lists)
    assert {each.kind for each in policy.lists.values()} == set(ListKind)
    assert {each.kind for service in services for each in service.fields.values()} == set(FieldKind)


def test_the_reference_policy_asks_for_what_the_promises_name() -> None:
    """S1: title, names, job, company, place and address are mandatory where a person is served."""
    policy = parse((POLICIES / "reference.toml").read_text(), "reference.toml")
    names = {"title", "first_name", "last_name", "job_title", "company", "city", "country", "email"}
    for each in ("contest", "sample-request", "information-request", "event-registration",
                 "job-application", "survey"):  # fmt: skip
        fields = policy.services[each].fields
        assert names <= {name for name, field in fields.items() if field.mandatory}
