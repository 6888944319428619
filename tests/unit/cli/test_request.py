"""``lethe request`` and ``lethe letters`` as typed; what they need of others is replaced."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import Result

from lethe import KeysUnavailableError, Letter, letters, requests
from lethe.requests import RequestFailedError, RequestRefusedError, Submitted
from privacy.contract import Problem

Lethe = Callable[..., Result]
MAIL = "canary@example.com"
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
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what was sent, and have it taken."""
    found: list[Any] = []

    def submit(url: str, key: str, right: str, **given: Any) -> Submitted:
        found.append((url, key, right, {name: each for name, each in given.items() if each}))
        return Submitted("r-1", None if given["email"] else f"{url}/v1/answers/token")

    monkeypatch.setattr(requests, "submit_request", submit)
    return found


def test_s17_a_request_is_sent_for_the_first_site_and_its_id_printed(
    lethe: Lethe, sent: list[Any]
) -> None:
    result = lethe("request", "access", "--email", MAIL, "--language", "nl")
    assert (result.exit_code, result.stdout) == (0, "r-1\n")
    assert "lethe letters" in result.stderr
    ((url, key, right, given),) = sent
    assert (url, right) == ("http://127.0.0.1:8080", "access")
    assert key
    assert given == {"email": MAIL, "language": "nl"}


def test_s17_a_visitors_request_prints_where_the_answer_will_be(
    lethe: Lethe, sent: list[Any]
) -> None:
    result = lethe(
        "request", "withdrawal", "--cookie", "visitor-1", "--purpose", "ads", "--purpose", "news",
        "--url", "https://collect.example", "--site-key", "k",
    )  # fmt: skip
    assert result.stdout == "r-1\nhttps://collect.example/v1/answers/token\n"
    assert sent == [
        (
            "https://collect.example",
            "k",
            "withdrawal",
            {"cookie_id": "visitor-1", "purposes": ["ads", "news"]},
        )
    ]


def test_s18_corrections_are_given_field_by_field(lethe: Lethe, sent: list[Any]) -> None:
    words = ("--correct", "last_name=Peeters", "--correct", "remarks=a=b", "--statement", "Noted.")
    assert lethe("request", "rectification", "--email", MAIL, *words).exit_code == 0
    assert sent[0][3] == {
        "email": MAIL,
        "corrections": {"last_name": "Peeters", "remarks": "a=b"},
        "statement": "Noted.",
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("access",), "--email"),
        (("rectification", "--email", MAIL, "--correct", "last_name"), "FIELD=VALUE"),
        (("access", "--email", MAIL, "--site", "nowhere.example"), "shop.example"),
    ],
)
def test_what_cannot_be_sent_is_told_with_a_remedy(
    lethe: Lethe, sent: list[Any], words: tuple[str, ...], told: str
) -> None:
    result = lethe("request", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not sent


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RequestRefusedError(422, "", [Problem("ground", "is missing")]), "ground is missing"),
        (RequestFailedError("ConnectionRefusedError", "k"), "lethe up"),
        (ValueError("must be https://"), "--url: must be https://"),
    ],
)
def test_what_was_not_taken_is_told_without_the_person(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def fail(*_: Any, **__: Any) -> Submitted:
        raise error

    monkeypatch.setattr(requests, "submit_request", fail)
    result = lethe("request", "access", "--email", MAIL)
    assert result.exit_code == 1
    assert told in result.stderr
    assert "canary" not in result.output


class Reader:
    """Stands in for the reader of letters: two there, then one to come."""

    def __init__(self, _: str, department: str, *, token: str, **__: Any) -> None:
        assert (department, token) == ("sales", "its-token")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep nothing."""

    def until_now(self) -> Iterator[Letter]:
        yield from (_letter(1), _letter(2))

    def __iter__(self) -> Iterator[Letter]:
        yield _letter(3)
        raise KeysUnavailableError("the key server does not answer")


def _letter(number: int) -> Letter:
    text = f"Letter {number}"
    return Letter(f"l-{number}", f"r-{number}", "confirm", "nl", MAIL, "Uw verzoek", text, "/v1/x")


@pytest.fixture
def mailed(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    text = Path("policy.toml").read_text()
    Path("policy.toml").write_text(text + RIGHTS)
    Path("token").write_text("its-token\n")
    monkeypatch.setattr(letters, "LetterReader", Reader)
    return lambda *words: lethe("letters", "--token-file", "token", *words)


def test_s17_letters_are_shown_as_they_are_to_be_sent(mailed: Lethe) -> None:
    result = mailed()
    assert result.exit_code == 0, result.output
    assert f"To: {MAIL}\nSubject: Uw verzoek\n" in result.stdout
    assert "Letter 1" in result.stdout
    assert "Letter 3" not in result.stdout
    assert json.loads(mailed("--json", "--request", "r-2").stdout)["text"] == "Letter 2"


def test_s17_those_to_come_are_followed_until_there_are_no_keys(mailed: Lethe) -> None:
    result = mailed("--follow", "--json")
    assert [json.loads(line)["letter_id"] for line in result.stdout.splitlines()] == [
        "l-1", "l-2", "l-3",
    ]  # fmt: skip
    assert result.exit_code == 1
    assert "lethe keys serve" in result.stderr


def test_without_rights_nobody_is_written_to(lethe: Lethe) -> None:
    result = lethe("letters")
    assert result.exit_code == 1
    assert "[rights]" in result.stderr
