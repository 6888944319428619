"""Forms through ``lethe collect`` as a process, and what becomes of a subscription behind it."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lethe import FormRefusedError, submit_form
from schemas.codec import decode
from sinks.ledger import tables, unsubscribed
from streams import cases
from streams.settings import Settings
from streams.shared import Shared
from tests.waiting import PATIENCE

pytestmark = pytest.mark.broker

ReadTopic = Callable[[str, str], list[Any]]
Rows = Callable[[Any, Any], list[Any]]
Until = Callable[[Callable[[], Any]], Any]

CANARY = b"zyxwv-canary"
FORM = {"last_name": CANARY.decode(), "email": f"{CANARY.decode()}@example.com"}


@contextmanager
def working(shared: Shared) -> Iterator[None]:
    stop = threading.Event()
    lane = threading.Thread(target=cases.run_cases, args=(shared, stop), daemon=True)
    lane.start()
    try:
        yield
    finally:
        stop.set()
        lane.join(PATIENCE)


def test_s1_s2_no_byte_of_a_form_is_on_a_disk_of_ours(
    collected: Settings, collector: Any, read_topic: ReadTopic
) -> None:
    """Nor of one that was refused."""
    case_id = submit_form(collector.url, "demo-shop-key", "sample-request", FORM)
    with pytest.raises(FormRefusedError, match="last_name is missing"):
        submit_form(collector.url, "demo-shop-key", "sample-request", {"email": FORM["email"]})
    found = read_topic(collected.kafka.bootstrap, collected.topic("form-submissions"))
    assert [each.key for each in found] == [case_id.encode()]
    form = decode("form_submission", found[0].value)
    assert set(form["sealed"]) == set(FORM)
    assert CANARY not in found[0].value
    files = [each for each in collected.data_dir.rglob("*") if each.is_file()]
    assert {"ledger.db", "collect.log"} <= {each.name for each in files}
    assert not [each for each in files if CANARY in each.read_bytes()]


def test_s5_from_a_subscription_to_one_click_on_its_link(
    collected: Settings, collector: Any, read_topic: ReadTopic, rows: Rows, until: Until
) -> None:
    shared = Shared(collected)
    fields = {"email": FORM["email"]}
    case_id = submit_form(collector.url, "demo-shop-key", "newsletter", fields)
    with working(shared):
        until(lambda: rows(shared.ledger, tables.cases) and not rows(shared.ledger, tables.outbox))
        changes = read_topic(collected.kafka.bootstrap, collected.topic("mailing-changes"))
        change = decode("mailing_change", changes[0].value)
        assert (change["case_id"], change["kind"]) == (case_id, "subscribed")
        link = f"{collector.url}/v1/unsubscribe/{change['token']}"
        for _ in range(2):
            with urllib.request.urlopen(link, b"List-Unsubscribe=One-Click") as response:
                assert response.status == 200
        (deletion,) = until(lambda: rows(shared.ledger, tables.deletions))
    assert (deletion["case_id"], deletion["cause"]) == (case_id, "unsubscribed")
    with shared.ledger.reading() as connection:
        assert unsubscribed.count(connection) == {"news": 1}
    shared.ledger.close()
