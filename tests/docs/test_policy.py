"""docs/policy.md explains every key of the policy file, and names no other."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from privacy.lifecycle import LifeCycleName
from privacy.policy import (
    Activity,
    Addressee,
    Audience,
    Authority,
    Controller,
    Covers,
    Department,
    FieldKind,
    FormField,
    Group,
    Holder,
    ListKind,
    MailingList,
    Policy,
    Profiles,
    Provider,
    Purpose,
    RightsRules,
    Service,
)
from privacy.policy.profiles import Contact, Content, Interest

DOCUMENT = (Path(__file__).parents[2] / "docs/policy.md").read_text()
TEXT = re.sub(r"```.*?```", "", DOCUMENT, flags=re.DOTALL)

PARTS: Mapping[str, type[BaseModel]] = {
    "[controller]": Controller,
    "[authority]": Authority,
    "[departments.<name>]": Department,
    "[lists.<name>]": MailingList,
    "[services.<name>]": Service,
    "[services.<name>.fields.<field>]": FormField,
    "[holders.<name>]": Holder,
    "[purposes.<name>]": Purpose,
    "[audiences.<name>]": Audience,
    "[providers.<name>]": Provider,
    "[profiles]": Profiles,
    "[profiles.interests.<name>]": Interest,
    "[profiles.contacts.<name>]": Contact,
    "[profiles.content]": Content,
    "[rights]": RightsRules,
    "[rights.controllers.<name>]": Addressee,
    "[activities.<name>]": Activity,
}


def words(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def keys(section: str) -> set[str]:
    """Return what stands first in the rows of a section's table, or else is named after it."""
    flags = re.DOTALL | re.MULTILINE
    (after,) = re.findall(rf"^`{re.escape(section)}`(.*?)(?=\n`\[|\n#)", TEXT, flags)
    rows = re.findall(r"^\| (`.*?) \|", after, re.MULTILINE)
    return {key for row in rows for key in words(row)} or words(after)


@pytest.mark.parametrize("section", PARTS)
def test_every_key_is_explained_and_no_other(section: str) -> None:
    named = set(PARTS[section].model_fields)
    prefix = section.rstrip("]") + "."
    # Sections of their own.
    named -= {each.removeprefix(prefix).split(".")[0].rstrip("]") for each in PARTS}
    assert keys(section) - {"rights"} == named


def test_the_top_has_its_own_keys() -> None:
    (after,) = re.findall(r"^## Keys\n(.*?)\n`\[", TEXT, re.DOTALL | re.MULTILINE)
    sections = {re.split(r"[\[\].]", each)[1] for each in PARTS}
    rows = re.findall(r"^\| (`.*?) \|", after, re.MULTILINE)
    assert {key for row in rows for key in words(row)} == set(Policy.model_fields) - sections


@pytest.mark.parametrize("known", [LifeCycleName, FieldKind, Group, ListKind, Covers])
def test_every_word_that_may_be_written_is_named(known: Any) -> None:
    assert set(known) <= words(TEXT)


def parts(part: Any) -> Iterator[type[BaseModel]]:
    for field in part.model_fields.values():
        for each in (field.annotation, *get_args(field.annotation)):
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield each
                yield from parts(each)


def test_every_part_of_the_policy_is_looked_at() -> None:
    inline = {"Conversion"}
    assert {each.__name__ for each in parts(Policy)} - inline == {
        each.__name__ for each in PARTS.values()
    }
