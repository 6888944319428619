"""``lethe service-event`` and ``lethe events`` as typed; what they need of others is replaced."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lethe.case_reader import Case
from lethe.cli import app, cases, service_event
from privacy.lifecycle import ServiceEvent
from sinks.ledger import groups, jobs
from sinks.ledger.groups import Group
from sinks.ledger.jobs import Job
from sinks.ledger.ledger import Ledger
from streams.settings import load
from streams.shared import ledger_url

Lethe = Callable[..., Result]
GUESTS = ("--service", "gala-guests", "--department", "events")


@pytest.fixture
def lethe(tmp_path: Path, policy_text: str, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LETHE_POLICY", "policy.toml")
    shown = '[services.gala-guests.fields.{}]\ntitle = "x"\nkind = "text"\n{}\n'
    fields = shown.format("name", "guest_list = true\nbadge = true")
    fields += shown.format("company", "badge = true")
    Path("policy.toml").write_text(policy_text + fields)
    return lambda *words: CliRunner().invoke(app, words)


@pytest.fixture
def event(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have an event with three registrations, one of them waiting."""
    del lethe

    def make(**settings: str) -> None:
        ledger = Ledger.open(ledger_url(load()))
        with ledger.transaction() as connection:
            groups.put(connection, ("gala-guests", "spring"), Group(None, 2, settings))
        ledger.close()

    at = datetime(2026, 11, 24, tzinfo=UTC)
    found = {
        case_id: Case(
            case_id, "shop.example", "gala-guests", group, state, None, at, at,
            {"name": name, "company": "Example", "email": f"{name}@example.com"},
        )
        for case_id, name, group, state in (
            ("c-2", "Ben", "spring", "open"), ("c-1", "Ann", "spring", "open"),
            ("c-3", "Cas", "spring", "waiting"), ("c-4", "Dee", "autumn", "open"),
        )
    }  # fmt: skip
    monkeypatch.setattr(cases, "present", lambda *_: found)
    return make


def test_the_guest_list_shows_what_the_policy_has_on_it(lethe: Lethe, event: Any) -> None:
    """S6: who has a seat, in order of arrival, and nothing else of them."""
    event()
    shown = lethe("events", "guest-list", "spring", *GUESTS, "--format", "json")
    assert json.loads(shown.stdout) == [{"name": "Ann"}, {"name": "Ben"}]


def test_the_seats_show_the_badges(lethe: Lethe, event: Any) -> None:
    event()
    shown = lethe("events", "seats", "spring", *GUESTS, "--format", "json")
    assert json.loads(shown.stdout) == [
        {"seat": 1, "name": "Ann", "company": "Example"},
        {"seat": 2, "name": "Ben", "company": "Example"},
    ]
    assert "Ann" in lethe("events", "seats", "spring", *GUESTS).stdout


@pytest.mark.parametrize("view", ["guest-list", "seats"])
def test_the_organiser_decides_who_sees_the_guests(lethe: Lethe, event: Any, view: str) -> None:
    words = ("events", view, "spring", *GUESTS, "--audience")
    event()
    assert lethe(*words, "participants").exit_code == 1
    event(guest_list="participants")
    assert lethe(*words, "participants").exit_code == 0
    refused = lethe(*words, "public")
    assert (refused.exit_code, "Ann" in refused.output) == (1, False)


def test_only_registrations_have_guests(lethe: Lethe) -> None:
    refused = lethe("events", "seats", "spring", "--service", "samples", "--department", "events")
    assert (refused.exit_code, "no registration" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("delivered", "--service", "samples"), "--case or --group"),
        (("delivered", "--service", "samples", "--case", "c", "--group", "g"), "--case or --group"),
        (("delivered", "--service", "nothing", "--case", "c"), "the policy has samples"),
        (("hired", "--service", "samples", "--case", "c"), "delivered"),
        (("cancelled", "--service", "gala-guests", "--group", "g"), "event_over"),
        (("delivered", "--service", "samples", "--group", "g"), "are none"),
    ],
)
def test_an_event_that_nothing_could_come_of_is_not_sent(
    lethe: Lethe, words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_event, "send", lambda *_, **__: pytest.fail("was sent"))
    refused = lethe("service-event", *words)
    assert (refused.exit_code, told in refused.output) == (2, True)


def test_watching_ends_when_no_worker_takes_the_event_up(
    lethe: Lethe, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    event()
    monkeypatch.setattr(service_event, "send", lambda *_, **__: None)
    monkeypatch.setattr(service_event, "PATIENCE_SECONDS", 0.0)
    ended = lethe(
        "service-event", "event_over", "--service", "galas", "--group", "spring", "--watch"
    )
    assert (ended.exit_code, "lethe worker" in ended.output) == (1, True)


@pytest.mark.parametrize(("done", "total", "code"), [(2, 2, 0), (0, 1, 1)])
def test_watching_tells_how_it_ended(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch, done: int, total: int, code: int
) -> None:
    ledger = Ledger.open(ledger_url(load()))
    job = Job("e-1", "galas", "spring", ServiceEvent.EVENT_OVER, total, done, 1, 2)
    with ledger.transaction() as connection:
        jobs.begin(connection, [job])
    ledger.close()
    monkeypatch.setattr(service_event, "send", lambda *_, **__: None)
    report = ("event_over", "--service", "galas", "--group", "spring", "--event-id", "e-1")
    assert lethe("service-event", *report, "--watch").exit_code == code
