"""Who is on a mailing list, and who must not be mailed again (S5)."""

from typing import Any

import pytest

from privacy.unsubscribe import Subscription, read
from sinks.ledger import tables, unsubscribed

LINKS = {"1": bytes(range(32))}


def changes(desk: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.sent("mailing-changes", "mailing_change")
    return found


def ended(desk: Any) -> set[str]:
    return set(desk.deletions())


def opted_out(desk: Any, list_: str = "news", subject: str = "s-1") -> bool:
    with desk.ledger.reading() as connection:
        return bool(unsubscribed.among(connection, list_, [subject, "s-9"]))


def test_s5_the_mail_system_is_told_of_a_subscription_with_the_link_that_ends_it(desk: Any) -> None:
    desk.submit("c-1", "news")
    desk.submit("c-2", "samples")
    desk.run()
    (change,) = changes(desk)
    assert (change["list"], change["case_id"], change["kind"]) == ("news", "c-1", "subscribed")
    assert read(LINKS, change["token"]) == Subscription("c-1", "news")


def test_s5_to_unsubscribe_ends_the_subscription_and_keeps_the_address_off(desk: Any) -> None:
    desk.submit("c-1", "news")
    desk.run()
    assert not opted_out(desk)
    desk.report("unsubscribed", "news", case="c-1")
    desk.run()
    assert ended(desk) == {"c-1"}
    assert opted_out(desk)


def test_s5_who_subscribed_twice_unsubscribes_once(desk: Any) -> None:
    """Neither others on the list nor the person's other cases are touched."""
    for case_id in ("c-1", "c-2"):
        desk.submit(case_id, "news")
    desk.submit("c-3", "news", subject="s-2")
    desk.submit("c-4", "samples")
    desk.run()
    desk.report("unsubscribed", "news", case="c-1")
    desk.run()
    assert ended(desk) == {"c-1", "c-2"}
    assert not opted_out(desk, subject="s-2")


@pytest.mark.parametrize("shredded", [True, False])
def test_s5_the_link_in_an_old_mail_may_be_followed_again(desk: Any, *, shredded: bool) -> None:
    """It is no mistake of anybody, also when its event was forgotten (RFC 8058)."""
    for case_id in ("c-1", "c-2"):
        desk.submit(case_id, "news")
    desk.run()
    desk.report("unsubscribed", "news", case="c-1")
    desk.run()
    if shredded:
        with desk.ledger.transaction() as connection:
            connection.execute(tables.cases.delete())
    desk.report("unsubscribed", "news", case="c-2")
    desk.run()
    assert not desk.refused()
    desk.report("delivered", "news", case="c-2")
    desk.run()
    assert desk.refused() == ["case_ended"]


def test_s5_who_subscribes_again_is_on_the_list_again(desk: Any) -> None:
    desk.submit("c-1", "news")
    desk.run()
    desk.report("unsubscribed", "news", case="c-1")
    desk.run()
    desk.now += 1
    desk.submit("c-2", "news")
    desk.run()
    assert ended(desk) == {"c-1"}
    assert not opted_out(desk)
    assert [change["case_id"] for change in changes(desk)] == ["c-1", "c-2"]


def test_a_subscription_that_was_made_before_and_comes_late_ends_at_once(desk: Any) -> None:
    desk.submit("c-1", "news")
    desk.run()
    desk.report("unsubscribed", "news", case="c-1")
    desk.run()
    desk.submit("c-2", "news", received_at=desk.now - 1)
    desk.run()
    assert ended(desk) == {"c-1", "c-2"}
    assert opted_out(desk)
    assert [change["case_id"] for change in changes(desk)] == ["c-1"]


@pytest.mark.parametrize("times", [1, 2])
def test_replay_brings_nobody_back_on_a_list(desk: Any, times: int) -> None:
    desk.submit("c-1", "news")
    desk.report("unsubscribed", "news", case="c-1")
    desk.run()
    told = changes(desk)
    for _ in range(times):
        desk.forget_positions()
        desk.run()
    assert ended(desk) == {"c-1"}
    assert opted_out(desk)
    assert changes(desk) == told


def test_the_later_of_two_times_stays(desk: Any) -> None:
    for at in (5, 9, 7):
        with desk.ledger.transaction() as connection:
            unsubscribed.add(connection, "news", "s-1", at)
    with desk.ledger.transaction() as connection:
        assert not unsubscribed.lift(connection, "news", "s-1", 9)
        assert unsubscribed.lift(connection, "news", "s-1", 10)
        assert unsubscribed.lift(connection, "news", "s-2", 1)
