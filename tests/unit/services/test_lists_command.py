"""``lethe lists`` as typed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import insert
from typer.testing import CliRunner

from lethe.cli import app
from privacy.subjects import subject_id
from sinks.keys.intake import UNSUBSCRIBE, links_keys, make_missing, subject_key, unsubscribe_keys
from sinks.keys.keks import KeyStoreError
from sinks.ledger import tables, unsubscribed
from sinks.ledger.ledger import Ledger
from streams.settings import load
from streams.shared import ledger_url

Lethe = Callable[..., Result]


@pytest.fixture
def lethe(tmp_path: Path, policy_text: str, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    """Return ``lethe`` in a folder with a policy and keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LETHE_POLICY", "policy.toml")
    Path("policy.toml").write_text(policy_text)
    make_missing(load().secrets)
    return lambda *words, read="": CliRunner().invoke(app, words, input=read)


@pytest.fixture
def ledger(lethe: Lethe) -> Iterator[Ledger]:
    del lethe
    opened = Ledger.open(ledger_url(load()))
    yield opened
    opened.close()


def subscribe(ledger: Ledger, *subjects: str, service: str = "news", state: str = "open") -> None:
    rows = [
        {
            "case_id": f"{service}-{state}-{number}", "service": service, "site": "shop.example",
            "subject": subject, "state": state, "received_at": 1, "changed_at": 1,
            "key_version": 1, "sealed": {}, "settings": {},
        }
        for number, subject in enumerate(subjects)
    ]  # fmt: skip
    with ledger.transaction() as connection:
        connection.execute(insert(tables.cases), rows)


def opt_out(ledger: Ledger, *addresses: str, list_: str = "news") -> None:
    key = subject_key(load().secrets)
    with ledger.transaction() as connection:
        for each in addresses:
            unsubscribed.add(connection, list_, subject_id(key, each), 1)


def test_s5_lists_are_shown_with_who_is_on_them_and_who_left(lethe: Lethe, ledger: Ledger) -> None:
    """Who subscribed twice counts once; other services and what has ended do not count."""
    subscribe(ledger, "s-1", "s-1", "s-2")
    subscribe(ledger, "s-3", state="ended")
    subscribe(ledger, "s-4", service="samples")
    opt_out(ledger, "ann@example.com")
    opt_out(ledger, "ben@example.com", list_="another")
    shown = lethe("lists", "show", "--format", "json")
    assert json.loads(shown.stdout) == [
        {"list": "news", "title": "News", "kind": "newsletter", "subscribed": 2, "unsubscribed": 1}
    ]
    assert "News" in lethe("lists", "show").stdout


def test_s5_addresses_that_unsubscribed_are_named_in_their_spelling(
    lethe: Lethe, ledger: Ledger
) -> None:
    opt_out(ledger, "ann@example.com", "cas@example.com")
    opt_out(ledger, "dee@example.com", list_="another")
    typed = "Ann@Example.com\nben@example.com\n\n  cas@example.com \ndee@example.com\n"
    result = lethe("lists", "opted-out", "news", read=typed)
    assert result.exit_code == 0
    assert result.stdout.split() == ["Ann@Example.com", "cas@example.com"]


def test_many_addresses_are_held_against_it(lethe: Lethe, ledger: Ledger) -> None:
    opt_out(ledger, "n7@example.com", "n2100@example.com")
    typed = "".join(f"n{number}@example.com\n" for number in range(2_500))
    found = lethe("lists", "opted-out", "news", read=typed).stdout.split()
    assert found == ["n7@example.com", "n2100@example.com"]


def test_an_unknown_list_is_told_which_there_are(lethe: Lethe, ledger: Ledger) -> None:
    del ledger
    result = lethe("lists", "opted-out", "other", read="ann@example.com\n")
    assert result.exit_code == 2
    assert "news" in result.stderr


def test_without_the_key_of_subjects_nobody_is_said_to_be_free_to_mail(
    lethe: Lethe, ledger: Ledger
) -> None:
    opt_out(ledger, "ann@example.com")
    (load().secrets / "subject-key").unlink()
    result = lethe("lists", "opted-out", "news", read="ann@example.com\n")
    assert result.exit_code == 1
    assert "lethe keys init" in result.stderr
    assert "ann@" not in result.output


def test_links_are_signed_with_a_new_key_and_old_ones_stay(lethe: Lethe) -> None:
    (old,) = unsubscribe_keys(load().secrets).items()
    assert lethe("lists", "rotate").exit_code == 0
    keys = unsubscribe_keys(load().secrets)
    assert list(keys) == ["1", "2"]
    assert keys["1"] == old[1] != keys["2"]


def test_links_of_requests_have_keys_of_their_own(lethe: Lethe) -> None:
    (old,) = links_keys(load().secrets).values()
    assert lethe("keys", "rotate-links").exit_code == 0
    keys = links_keys(load().secrets)
    assert list(keys) == ["1", "2"]
    assert keys["1"] == old not in unsubscribe_keys(load().secrets).values()


def test_keys_stand_in_the_order_of_their_numbers(lethe: Lethe) -> None:
    for _ in range(10):
        lethe("lists", "rotate")
    assert list(unsubscribe_keys(load().secrets))[-2:] == ["10", "11"]


def test_a_key_that_is_taken_away_while_keys_are_read_is_passed_over(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    lethe("lists", "rotate")
    folder = load().secrets / UNSUBSCRIBE
    listed = [*folder.iterdir()]
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(listed))
    (folder / "1").unlink()
    assert list(unsubscribe_keys(load().secrets)) == ["2"]
    (folder / "2").write_bytes(b"short")
    with pytest.raises(KeyStoreError, match="no key in 2"):
        unsubscribe_keys(load().secrets)
    (folder / "2").unlink()
    with pytest.raises(KeyStoreError, match="no key in unsubscribe"):
        unsubscribe_keys(load().secrets)


def test_key_files_are_the_owners_alone_and_never_made_again(lethe: Lethe) -> None:
    del lethe
    secrets = load().secrets
    assert not make_missing(secrets)
    for name in ("subject-key", "unsubscribe/1", "links/1"):
        assert (secrets / name).stat().st_mode & 0o777 == 0o600
