"""Forms through ``lethe collect`` as a process, and what becomes of a subscription behind it."""

import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from lethe import FormRefusedError, submit_form
from schemas.codec import decode
from sinks.kafka_admin import create_topics
from sinks.ledger import tables, unsubscribed
from streams import cases, policy
from streams.keys.prepare import prepare
from streams.settings import Settings
from streams.shared import Shared

pytestmark = pytest.mark.broker

ReadTopic = Callable[[str, str], list[Any]]

FILE = Path(__file__).parents[2] / "unit" / "collector" / "policy.toml"
CANARY = b"zyxwv-canary"
FORM = {"last_name": CANARY.decode(), "email": f"{CANARY.decode()}@example.com"}
PATIENCE = 60.0


@dataclass(frozen=True)
class Running:
    """A collector's address and where it logs to."""

    url: str
    log: Path


@pytest.fixture
def collected(settings: Settings, tmp_path: Path) -> Settings:
    """Make settings with a policy of forms, its topics and keys."""
    made = settings.model_copy(update={"policy": FILE, "secrets_dir": tmp_path / "secrets"})
    its_policy = policy.load(FILE)
    prepare(made.secrets, its_policy)
    kafka = made.kafka
    create_topics(kafka.bootstrap, kafka.options, kafka.prefix, departments=its_policy.departments)
    return made


@pytest.fixture
def collector(collected: Settings, tmp_path: Path) -> Iterator[Running]:
    log = tmp_path / "collect.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "lethe", "collect", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=collected.environment(),
        )
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert line.startswith("Collector: http://127.0.0.1:"), log.read_text()
        yield Running(line.partition(": ")[2].strip(), log)
    finally:
        process.terminate()
        process.communicate(timeout=30)


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


def rows(shared: Shared, table: Any) -> list[Any]:
    with shared.ledger.reading() as connection:
        return list(connection.execute(select(table)).mappings())


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def test_s1_s2_no_byte_of_a_form_is_on_a_disk_of_ours(
    collected: Settings, collector: Running, read_topic: ReadTopic
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
    collected: Settings, collector: Running, read_topic: ReadTopic
) -> None:
    shared = Shared(collected)
    fields = {"email": FORM["email"]}
    case_id = submit_form(collector.url, "demo-shop-key", "newsletter", fields)
    with working(shared):
        until(lambda: rows(shared, tables.cases) and not rows(shared, tables.outbox))
        changes = read_topic(collected.kafka.bootstrap, collected.topic("mailing-changes"))
        change = decode("mailing_change", changes[0].value)
        assert (change["case_id"], change["kind"]) == (case_id, "subscribed")
        link = f"{collector.url}/v1/unsubscribe/{change['token']}"
        for _ in range(2):
            with urllib.request.urlopen(link, b"List-Unsubscribe=One-Click") as response:
                assert response.status == 200
        (deletion,) = until(lambda: rows(shared, tables.deletions))
    assert (deletion["case_id"], deletion["cause"]) == (case_id, "unsubscribed")
    with shared.ledger.reading() as connection:
        assert unsubscribed.count(connection) == {"news": 1}
    shared.ledger.close()
