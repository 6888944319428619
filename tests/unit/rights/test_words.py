"""Letters and pages: whole in each language, with where to complain, and safe to open."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

import pytest

from privacy.policy import Policy
from privacy.rights import letters
from privacy.rights.copy import Copy, Store
from privacy.rights.explain import explain
from privacy.rights.plan import RefusalReason, Refused, Verdict
from privacy.rights.render import data, page, tables
from privacy.rights.request import LANGUAGES, Right
from privacy.rights.words import words

AT = 1_795_000_000_000
EVIL = "<script>alert('&\"')</script>"
ARTICLES = r"(?i)\bart\. (\d+(?:\(\d\))*(?:\([a-z]\))?)"


class Reader(HTMLParser):
    """What a browser would make of a page: its tags, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def copy() -> Copy:
    rows = {store: [{EVIL: EVIL, "value": f"={store}"}] for store in Store}
    services = frozenset({"samples", "news"})
    return Copy(rows, services, frozenset({"news"}), visitor=True)


def _read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def _all(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _all(each, f"{path}.{name}")
    else:
        yield path, value


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_says_all_that_the_others_say(language: str) -> None:
    english, other = (dict(_all(asdict(words(each)))) for each in ("en", language))
    assert words(language).language == language
    assert other.keys() == english.keys()
    for path, text in other.items():
        assert text.strip() == text
        braces = [sorted(re.findall(r"{\w+}", each)) for each in (text, english[path])]
        assert braces[0] == braces[1], path
        cited = [re.findall(ARTICLES, each) for each in (text, english[path])]
        assert cited[0] == cited[1], path
    assert set(words(language).letters.because) == set(RefusalReason)
    assert set(words(language).letters.done) == set(words(language).rights) == set(Right)
    assert set(words(language).letters.answered_subject) == set(Verdict)
    assert set(words(language).headings.stores) == set(Store)


def test_a_language_that_we_do_not_speak_is_english() -> None:
    assert words("tlh") is words("en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_letter_names_authority_and_link(policy: Policy, language: str) -> None:
    no = [Refused("samples", RefusalReason.CLAIM)]
    said = {
        "confirm": letters.confirm(policy, Right.ACCESS, language, link="/confirm/x", until=AT),
        "extended": letters.extended(
            policy, Right.ACCESS, language, deadline=AT, because="Many asked."
        ),
        "lifting": letters.lifting(policy, language, at=AT),
        "answered": letters.answered(
            policy, Right.ERASURE, language, Verdict.PARTLY, no, link="/answers/x", until=AT
        ),
    }
    for letter in said.values():
        assert "Example Authority" in letter.text
        assert "77" in letter.text
        assert "{" not in letter.text + letter.subject
    assert "/confirm/x" in said["confirm"].text
    assert "/answers/x" in said["answered"].text
    assert "Samples: " in said["answered"].text
    assert "Many asked." in said["extended"].text


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_a_refusal_tells_its_reason_and_says_nothing_was_done(
    policy: Policy, reason: RefusalReason
) -> None:
    letter = letters.answered(
        policy, Right.ERASURE, "nl", Verdict.REFUSED, [Refused("", reason)], link=None, until=AT
    )
    said = words("nl").letters
    assert said.because[reason] in letter.text
    assert said.done[Right.ERASURE] not in letter.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_has_not_confirmed_or_cannot_delete_is_named(policy: Policy, language: str) -> None:
    def written(verdict: Verdict) -> str:
        return letters.answered(
            policy, Right.ERASURE, language, verdict, [],
            silent=["The CRM", "Meta"], keeping=["LinkedIn"], link=None, until=AT,
        ).text  # fmt: skip

    done = written(Verdict.GRANTED)
    assert words(language).letters.silent.format(who="The CRM, Meta") in done
    assert words(language).letters.keeping.format(who="LinkedIn") in done
    assert "LinkedIn" not in written(Verdict.REFUSED)


def test_grounds_that_override_an_objection_are_told(policy: Policy) -> None:
    no = [Refused("reports", RefusalReason.COMPELLING_GROUNDS)]
    letter = letters.answered(
        policy, Right.OBJECTION, "fr", Verdict.REFUSED, no, link=None, until=AT
    )
    assert "Reports: " in letter.text
    assert "Safety reports must be kept." in letter.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_shows_values_and_runs_nothing(policy: Policy, copy: Copy, language: str) -> None:
    text = page(copy, explain(policy, copy, language), language, "now")
    read = _read(text)
    assert read.tags[0] == "html"
    assert "script" not in read.tags
    assert read.text.count(EVIL) == 2 * len(Store)
    shown = "".join(read.text)
    for heading in words(language).headings.stores.values():
        assert heading in shown


def test_all_of_article_15_is_explained(policy: Policy, copy: Copy) -> None:
    shown = "".join(_read(page(copy, explain(policy, copy, "en"), "en", "now")).text)
    for expected in (
        *("to serve", "advertising", "Art. 6(1)(b) GDPR"),  # purposes
        *("E-mail", "Care", "The CRM", "ga4"),  # categories, recipients
        "ga4: US (standard contractual clauses)",  # third countries
        "they unsubscribe, at any time",  # retention
        *("rectification (Art. 16)", "Example Authority", "Art. 77"),  # rights, complaint
        *("You gave us the data yourself", "Art. 22 GDPR", "officer@www.example"),
    ):
        assert expected in shown


def test_only_what_is_held_is_explained(policy: Policy) -> None:
    copy = Copy({}, frozenset({"samples"}), frozenset(), visitor=False)
    assert [each.title for each in explain(policy, copy, "en").entries] == ["Samples"]


def test_json_has_every_row(policy: Policy, copy: Copy) -> None:
    read = json.loads(data(copy, explain(policy, copy, "en"), "now"))
    assert read["format"] == "lethe-access/1"
    assert read["data"] == {each.value: list(rows) for each, rows in copy.rows.items()}
    assert {each["name"] for each in read["explanation"]["processing"]} >= {
        *("services.samples", "lists.news", "purposes.ads"),
    }


def test_a_spreadsheet_takes_no_cell_for_a_formula(copy: Copy) -> None:
    found = dict(tables(copy))
    assert set(found) == set(Store)
    for store, text in found.items():
        assert list(csv.reader(text.splitlines())) == [[EVIL, "value"], [EVIL, f"'={store}"]]
