"""What is said of requests changes them once, and only as far as they are (S17 to S24)."""

from typing import Any

import pytest

from privacy.links import read_confirm
from privacy.rights.request import Right
from sinks.ledger import holds, keys, requests, tables
from sinks.ledger.holds import Hold, Kind
from sinks.ledger.requests import State

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def table(desk: Any) -> list[Any]:
    with desk.ledger.reading() as connection:
        return [
            *connection.execute(tables.requests.select().order_by("request_id")),
            *connection.execute(tables.request_commands.select().order_by("request_id")),
        ]


def test_a_request_waits_for_the_link_in_a_mail(desk: Any) -> None:
    desk.ask("r")
    desk.take_in()
    assert desk.get("r").state is State.UNCONFIRMED
    mail = desk.opened("r", "confirm")
    assert mail["to"] == "ann@example.com"
    before, _, token = mail["link"].rpartition("/")
    assert before == "https://collect.example/v1/requests/confirm"
    assert mail["link"] in mail["text"]
    hours = desk.policy.rights.link_hours
    assert read_confirm(desk.links, token, (desk.now + hours * HOUR_MS) // 1000 - 1) == "r"
    assert read_confirm(desk.links, token, (desk.now + hours * HOUR_MS) // 1000) is None
    desk.work()
    assert desk.get("r").state is State.UNCONFIRMED  # nothing is done before
    desk.say("r", "confirmed")
    desk.take_in()
    assert (desk.get("r").state, desk.get("r").confirmed_by) == (State.CONFIRMED, "link")


def test_known_and_unknown_people_are_mailed_alike(desk: Any) -> None:
    desk.begin_case("c", "samples")
    desk.ask("known")
    desk.ask("unknown", email="bob@example.com")
    desk.take_in()
    kinds = dict(desk.mailed())
    assert kinds == {"known": "confirm", "unknown": "confirm"}
    known, unknown = (desk.opened(each, "confirm") for each in ("known", "unknown"))
    assert known["text"].replace(known["link"], "") == unknown["text"].replace(unknown["link"], "")


def test_what_comes_again_changes_nothing(desk: Any) -> None:
    desk.ask("r")
    desk.say("r", "confirmed")
    desk.say("r", "extended", "operator: many", months="1", reason="many")
    desk.take_in()
    before, mails = table(desk), desk.mailed()
    with desk.ledger.transaction() as connection:
        connection.execute(tables.positions.delete())
    desk.broker.committed.clear()
    desk.take_in()
    assert (table(desk), desk.mailed()) == (before, mails)
    assert not desk.refused()


@pytest.mark.parametrize(
    ("email", "cookie", "by", "reasons"),
    [
        ("ann@example.com", None, "cookie", ["illegal_transition"]),
        ("ann@example.com", "v-1", "cookie", ["illegal_transition"]),  # the link confirms both
        (None, "v-1", "link", ["illegal_transition"]),
        (None, "v-1", "cookie", []),
        (None, "v-1", "operator: seen", []),
    ],
)
def test_only_what_somebody_is_known_by_shows_who_they_are(
    desk: Any, email: str | None, cookie: str | None, by: str, reasons: list[str]
) -> None:
    desk.ask("r", Right.ACCESS, email=email, cookie=cookie)
    desk.say("r", "confirmed", by)
    desk.take_in()
    assert desk.refused() == reasons
    assert desk.get("r").state is (State.UNCONFIRMED if reasons else State.CONFIRMED)


def test_who_is_asked_for_too_often_today_is_told_once_and_mailed_no_more(desk: Any) -> None:
    for number in range(9):
        desk.ask(f"r-{number}")
    desk.take_in()
    desk.work()
    assert [kind for _, kind in desk.mailed()] == ["confirm"] * 5 + ["answer"]
    refused = [desk.get(f"r-{number}").refused for number in range(5, 9)]
    assert refused == [[("", "excessive")]] * 4
    assert desk.get("r-0").state is State.UNCONFIRMED


def test_more_of_one_right_in_a_month_than_the_policy_has_is_excessive(desk: Any) -> None:
    for number in range(4):  # the policy has three
        desk.ask(f"r-{number}", Right.ACCESS)
        desk.say(f"r-{number}", "confirmed")
        desk.take_in()
        desk.now += DAY_MS
    assert [desk.get(f"r-{number}").state for number in range(3)] == [State.CONFIRMED] * 3
    assert desk.get("r-3").refused == [("", "excessive")]
    desk.now += 30 * DAY_MS
    desk.ask("later", Right.ACCESS)
    desk.say("later", "confirmed")
    desk.take_in()
    assert desk.get("later").state is State.CONFIRMED


def test_what_others_ask_in_ones_name_is_not_held_against_one(desk: Any) -> None:
    for number in range(8):
        desk.ask(f"r-{number}", Right.ACCESS)
        desk.take_in()
        desk.now += DAY_MS
    desk.say("r-7", "confirmed")
    desk.take_in()
    assert desk.get("r-7").state is State.CONFIRMED


def test_an_operator_refuses_with_the_reason_of_the_law(desk: Any) -> None:
    desk.ask("r")
    desk.say("r", "refused", "operator: file 4", reason="unfounded")
    desk.say("r", "confirmed")
    desk.take_in()
    desk.work()
    assert (desk.get("r").verdict, desk.get("r").refused) == ("refused", [("", "unfounded")])
    assert desk.mailed()[-1] == ("r", "answer")
    assert "Example Authority" in desk.opened("r", "answer")["text"]


def test_a_deadline_is_moved_once_and_within_the_first_month(desk: Any) -> None:
    desk.ask("r")
    desk.ask("late", email="bob@example.com")
    desk.say("r", "extended", "operator: many", months="2", reason="many")
    desk.take_in()
    moved = desk.get("r").deadline
    assert moved - desk.get("late").deadline > 50 * DAY_MS
    desk.say("r", "extended", "operator: more", months="1", reason="more")
    desk.take_in()
    assert (desk.get("r").deadline, desk.get("r").extended_because) == (moved, "many")
    assert "many" in desk.opened("r", "extended")["text"]
    desk.now = desk.get("late").deadline + 1
    desk.say("late", "extended", "operator: many", months="1", reason="many")
    desk.take_in()
    assert desk.refused() == ["illegal_transition"]


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("refused", {}),
        ("refused", {"reason": "no such reason"}),
        ("extended", {"months": "3", "reason": "many"}),
        ("extended", {"months": "1"}),
    ],
)
def test_what_lacks_its_reason_is_refused(desk: Any, kind: str, details: dict[str, str]) -> None:
    desk.ask("r")
    desk.say("r", kind, "operator: file 4", **details)
    desk.take_in()
    assert desk.refused() == ["malformed"]
    assert desk.get("r").state is State.UNCONFIRMED


@pytest.mark.parametrize("kind", ["confirmed", "refused", "extended", "lifted"])
def test_what_is_said_of_no_request_is_a_dead_letter(desk: Any, kind: str) -> None:
    desk.say("nobody's", kind)
    desk.take_in()
    assert desk.refused() == ["unknown_request"]


def test_what_cannot_be_read_or_opened_is_a_dead_letter_and_the_rest_goes_on(desk: Any) -> None:
    desk.broker.put("subject-requests", b"x", b"nothing of ours")
    desk.ask("keyless")
    with desk.ledger.transaction() as connection:
        keys.shred(connection, ["keyless"])
    desk.ask("r")
    desk.take_in()
    assert desk.refused() == ["wrong_magic", "malformed"]
    assert desk.get("r").state is State.UNCONFIRMED


def test_a_key_made_anew_for_a_closed_request_is_shredded(desk: Any) -> None:
    desk.ask("r")
    desk.take_in()
    with desk.ledger.transaction() as connection:
        requests.close(connection, ["r"], desk.now)
    desk.ask("r")
    desk.take_in()
    with desk.ledger.reading() as connection:
        assert not keys.wrapped_for(connection, "care", ["r"])


def test_an_operator_lifts_a_restriction_by_a_request_of_its_own(desk: Any) -> None:
    desk.ask("hold", Right.RESTRICTION)
    desk.ask("other", Right.ACCESS)
    desk.take_in()
    subject = desk.get("hold").subject
    with desk.ledger.transaction() as connection:
        holds.place(
            connection,
            Hold("hold", Kind.RESTRICTION, subject, None, None, None, "objection_pending", 1),
        )
    for name in ("hold", "hold", "other"):
        desk.say(name, "lifted", "operator: file 4")
    desk.take_in()
    assert desk.refused() == ["illegal_transition"]
    with desk.ledger.reading() as connection:
        (lifting,) = (
            each for each in requests.of_subject(connection, subject) if each.right == "lifting"
        )
    assert (lifting.state, lifting.confirmed_by) == (State.CONFIRMED, "operator: file 4")
