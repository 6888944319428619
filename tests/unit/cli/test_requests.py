"""``lethe requests`` as typed; the broker and the workers are replaced (S24)."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from privacy.rights.request import Right
from schemas.codec import decode
from sinks import kafka
from sinks.ledger import holds, requests
from sinks.ledger.holds import Hold, Kind
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import Request, State
from streams.keys.prepare import prepare
from streams.policy import load as load_policy
from streams.settings import load

Lethe = Callable[..., Result]
NOW = 1_795_000_000_000
BECAUSE = ("--because", "file 4")
RIGHTS = """
[authority]
name = "Example Authority"
address = "1 Example Square, Ghent"
complaint = "You may complain to the authority."

[departments.sales]
title = "Sales"
contact = "sales@www.example"

[rights]
department = "sales"
"""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> list[dict[str, Any]]:
    """Return what was said on the topic; a worker that answers at once reads it."""
    found: list[dict[str, Any]] = []

    class Producer:
        def __init__(self, *_: object) -> None: ...

        def send(self, topic: str, values: Sequence[bytes], keys: Sequence[bytes]) -> None:
            assert topic == "subject-requests"
            new = [decode("subject_request", each) for each in values]
            assert [each["request_id"].encode() for each in new] == list(keys)
            found.extend(new)
            with ledger.transaction() as connection:
                for each in new:
                    if each["kind"] == "asked":
                        add(connection, each["request_id"], State.ANSWERED)

        def stored(self) -> None: ...

    monkeypatch.setattr(kafka, "BatchProducer", Producer)
    return found


def add(connection: Any, name: str, state: State, deadline: int = NOW) -> None:
    done = NOW if state is State.ANSWERED else None
    new = Request(
        name, Right.ERASURE, None, "shop.example", "nl", "s-1", False, state, NOW, deadline, None,
        answered_at=done,
    )  # fmt: skip
    requests.add(connection, new)


def test_what_is_held_is_shown_without_whose_it_is(lethe: Lethe, ledger: Ledger) -> None:
    assert "Nothing is held." in lethe("requests", "holds").output
    restriction = Hold("r-1", Kind.RESTRICTION, "s-1", None, None, None, "accuracy", NOW)
    claim = Hold("claim-1", Kind.CLAIM, None, None, None, "c-1", "file 4", NOW + 1_000)
    visitor = Hold(
        "r-2", Kind.RESTRICTION, None, "shop.example", "cookie-1", None, "unlawful", NOW + 2_000
    )
    with ledger.transaction() as connection:
        for each in (restriction, claim, visitor):
            holds.place(connection, each)
    shown = lethe("requests", "holds", "--format", "json").output
    rows = json.loads(shown)
    assert [(each["kind"], each["of"], each["request_or_case"]) for each in rows] == [
        ("restriction", "subject", "r-1"),
        ("claim", "case", "c-1"),
        ("restriction", "visitor", "r-2"),
    ]
    assert "s-1" not in shown
    assert "cookie-1" not in shown


def test_what_was_asked_decided_and_done_is_shown_without_whose_it_is(
    lethe: Lethe, ledger: Ledger
) -> None:
    with ledger.transaction() as connection:
        add(connection, "r", State.UNCONFIRMED)
        requests.put_plan(
            connection, "r", [("end_case", "c-1"), ("answer", "")], "partly",
            [("samples", "claim")], NOW, "7",
        )  # fmt: skip
        requests.done(connection, [("r", 0, "deletion asked for")], NOW)
    (row,) = json.loads(lethe("requests", "--format", "json").stdout)
    assert (row["request_id"], row["right"], row["state"], row["verdict"]) == (
        "r", "erasure", "planned", "partly",
    )  # fmt: skip
    result = lethe("requests", "show", "r", "--format", "json")
    shown = json.loads(result.stdout)
    assert (shown["refused"], shown["policy"], shown["known_by"]) == (
        "samples: claim", "7", "address",
    )  # fmt: skip
    first, last = shown["steps"]
    assert (first["act"], first["target"], first["outcome"]) == (
        "end_case", "c-1", "deletion asked for",
    )  # fmt: skip
    assert first["done_at"]
    assert last["done_at"] is None
    assert "s-1" not in result.stdout
    assert "deletion asked for" in lethe("requests", "show", "r").stdout


def test_what_is_overdue_is_shown_and_ends_with_one(lethe: Lethe, ledger: Ledger) -> None:
    assert lethe("requests", "--overdue").stdout == "Nothing is overdue.\n"
    with ledger.transaction() as connection:
        add(connection, "late", State.PLANNED, deadline=1)
        add(connection, "good", State.PLANNED, deadline=9_999_999_999_999)
    result = lethe("requests", "--overdue", "--format", "json")
    assert [each["request_id"] for each in json.loads(result.stdout)] == ["late"]
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("words", "state", "kind", "details"),
    [
        (("confirm",), State.UNCONFIRMED, "confirmed", {}),
        (("refuse", "--reason", "unfounded"), State.CONFIRMED, "refused", {"reason": "unfounded"}),
        (
            ("extend", "--months", "1"), State.PLANNED, "extended",
            {"months": "1", "reason": "file 4"},
        ),
        (("lift",), State.ANSWERED, "lifted", {}),
    ],
)  # fmt: skip
def test_an_operators_word_goes_the_way_of_peoples_own(
    lethe: Lethe, ledger: Ledger, said: list[dict[str, Any]],
    words: Sequence[str], state: State, kind: str, details: dict[str, str],
) -> None:  # fmt: skip
    with ledger.transaction() as connection:
        add(connection, "r", state)
    command, *more = words
    result = lethe("requests", command, "r", *more, *BECAUSE)
    assert result.exit_code == 0, result.output
    (each,) = said
    assert (each["request_id"], each["kind"], each["by"]) == ("r", kind, "operator: file 4")
    assert each["details"] == details


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("confirm", "nobody's"), "no such request"),
        (("confirm", "r"), "too late"),
        (("refuse", "r", "--reason", "no such reason"), "--reason"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_sent(
    lethe: Lethe, ledger: Ledger, said: list[dict[str, Any]], words: Sequence[str], why: str
) -> None:
    with ledger.transaction() as connection:
        add(connection, "r", State.ANSWERED)
    result = lethe("requests", *words, *BECAUSE)
    assert result.exit_code != 0
    assert why in result.stderr
    assert not said


@pytest.fixture
def people(lethe: Lethe) -> Path:
    del lethe
    file = Path("policy.toml")
    file.write_text(file.read_text() + RIGHTS)
    prepare(load().secrets, load_policy(file))
    return Path("people.csv")


def test_everybody_in_a_file_is_entered_and_confirmed_once(
    lethe: Lethe, people: Path, said: list[dict[str, Any]]
) -> None:
    people.write_text("email,language\nann@example.com,fr\nbob@example.com,\nann@example.com,fr\n")
    for _ in range(2):
        result = lethe("requests", "erase", "--from", str(people), *BECAUSE)
        assert result.exit_code == 0, result.output
    kinds = [(each["request_id"], each["kind"]) for each in said]
    assert len(kinds) == 8
    assert len(set(kinds)) == 4  # what is entered again is the same request
    asked = [each for each in said if each["kind"] == "asked"]
    assert {(each["right"], each["site"]) for each in asked} == {("erasure", "desk")}
    assert {each["language"] for each in asked} == {"en", "fr"}
    assert {each["by"] for each in said} == {"operator: file 4"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name\nann@example.com\n", "line 1"),
        ("email\nann@example.com\nnot an address\n", "line 3"),
        ("email,language\nann@example.com,xx\n", "line 2"),
    ],
)
def test_a_file_with_a_wrong_line_is_refused_whole_and_tells_no_value(
    lethe: Lethe, people: Path, said: list[dict[str, Any]], text: str, why: str
) -> None:
    people.write_text(text)
    result = lethe("requests", "erase", "--from", str(people), *BECAUSE)
    assert result.exit_code == 1
    assert why in result.stderr
    assert "ann@" not in result.output
    assert "not an address" not in result.output
    assert not said
