"""A backup of which nobody knows who was erased since is refused, and nothing is touched."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from sqlalchemy import insert

from lethe.standins.account import put_credentials, with_standins
from schemas.codec import encode
from sinks.kafka import BatchProducer, consumer
from sinks.kafka_admin import create_topics
from sinks.keys.keks import Keks
from sinks.keys.vault import Vault
from sinks.ledger import inbox, tables, unsubscribed
from sinks.ledger.inbox import Position
from sinks.ledger.ledger import Ledger
from streams.keys.prepare import prepare
from streams.policy import load as load_policy
from streams.restoring.archive import BackupError
from streams.restoring.backup import backup
from streams.restoring.restore import restore
from streams.settings import Settings
from streams.shared import Shared, erasures_folder, ledger_url, now, open_ledger
from tests.waiting import until

pytestmark = pytest.mark.broker

REFERENCE = Path(__file__).parents[3] / "deploy" / "policy" / "reference.toml"


class Shop:
    """An installation with a backup, of which the ledger was lost."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.policy = load_policy(REFERENCE)
        self.backup = folder / "ledger.tar"
        kafka = settings.kafka
        create_topics(
            kafka.bootstrap, kafka.options, kafka.prefix,
            departments=self.policy.departments, holders=self.policy.holders,
        )  # fmt: skip
        prepare(settings.secrets, self.policy)
        put_credentials(settings.secrets)
        self.producer = BatchProducer(kafka.bootstrap, kafka.options)

    def make(self) -> None:
        """Erase something, so that there is a journal, and back up."""
        ledger = open_ledger(self.settings)
        vault = Vault(Keks.under(self.settings.secrets))
        with ledger.transaction() as connection:
            unsubscribed.add(connection, "newsletter", "somebody", now())
            vault.make(connection, "case-1", self.policy.departments, now())
        backup(Shared(self.settings, ledger), self.backup)
        ledger.close()

    def read(self, topic: str, offset: int) -> None:
        """Have the ledger have read a topic's first partition up to an offset."""
        ledger = open_ledger(self.settings)
        place = Position(self.settings.topic(topic), 0, offset)
        with ledger.transaction() as connection:
            inbox.first(connection, "consent", [place])
        ledger.close()

    def put(self, topic: str, value: bytes, key: bytes = b"k", partition: int = 0) -> None:
        self.producer.send(self.settings.topic(topic), [value], [key], partition)
        self.producer.stored()

    def lose(self) -> None:
        for each in self.file.parent.glob("ledger.db*"):
            each.unlink()

    @property
    def file(self) -> Path:
        return Path(str(ledger_url(self.settings).database))

    def refused(self, match: str, **how: Any) -> None:
        with pytest.raises(BackupError, match=match):
            restore(self.settings, self.backup, **how)
        assert not self.file.exists()
        assert not list(self.file.parent.glob(".restoring*"))


@pytest.fixture
def shop(settings: Settings, tmp_path: Path) -> Shop:
    own = with_standins(settings, "http://127.0.0.1:9")
    update = {"policy": REFERENCE, "secrets_dir": tmp_path / "own"}
    return Shop(own.model_copy(update=update), tmp_path)


def test_without_the_journal(shop: Shop) -> None:
    shop.make()
    shop.lose()
    folder = erasures_folder(shop.settings)
    folder.rename(folder.with_name("elsewhere"))
    shop.refused("journals .* are missing")
    restore(shop.settings, shop.backup, [folder.with_name("elsewhere")])  # another host's
    assert shop.file.exists()
    shop.lose()
    restore(shop.settings, shop.backup, journal_lost=True)
    with Ledger.open(f"sqlite:///{shop.file}").reading() as connection:
        assert unsubscribed.count(connection) == {"newsletter": 1}


def test_from_before_the_journal_begins(shop: Shop) -> None:
    shop.make()
    shop.lose()
    folder = erasures_folder(shop.settings)
    file = folder / "journal.json"
    content = file.read_text()
    since = content.split('"since": ')[1].rstrip("}")
    file.write_text(content.replace(since, str(now() + 60_000)))
    shop.refused("older than what the journal")


def test_with_a_journal_that_lacks_what_the_broker_knows(shop: Shop) -> None:
    shop.make()
    record = {
        "deletion_id": "d-9", "case_id": "case-9", "service": "sample-request", "holders": ["crm"],
        "cause": "delivered", "cause_id": "e", "requested_at": now(), "deadline": now(),
    }  # fmt: skip
    shop.put("deletions", encode("deletion", record), b"case-9")
    shop.lose()
    shop.refused("lacks 1 deletions")
    report = restore(shop.settings, shop.backup, journal_lost=True)
    assert report.redone == {"ended": 1, "unsubscribed": 1}


def test_older_than_what_is_kept_of_consents(shop: Shop) -> None:
    shop.read("consent-changes", 0)
    for _ in range(3):
        shop.put("consent-changes", b"x")
    shop.make()
    shop.lose()
    admin = AdminClient({"bootstrap.servers": shop.settings.kafka.bootstrap})
    place = TopicPartition(shop.settings.topic("consent-changes"), 0, 2)
    next(iter(admin.delete_records([place]).values())).result(30)
    shop.refused("older than 7 days")


def test_of_another_broker(shop: Shop) -> None:
    shop.read("consent-changes", 41)
    shop.make()
    shop.lose()
    shop.refused("not the broker it was made with")


def test_of_another_installation(shop: Shop) -> None:
    shop.make()
    shop.lose()
    kafka = shop.settings.kafka.model_copy(update={"prefix": "other."})
    create_topics(
        kafka.bootstrap, kafka.options, kafka.prefix,
        departments=shop.policy.departments, holders=shop.policy.holders,
    )  # fmt: skip
    shop.settings = shop.settings.model_copy(update={"kafka": kafka})
    shop.refused("another installation")


def test_whose_keys_are_wrapped_by_none_that_there_are(shop: Shop) -> None:
    shop.make()
    ledger = open_ledger(shop.settings)
    Vault(Keks.under(shop.settings.secrets)).rotate(ledger, "marketing")
    ledger.close()
    shop.lose()
    shop.refused("marketing: .*rotated since")


def test_while_somebody_reads(shop: Shop) -> None:
    shop.make()
    shop.lose()
    kafka = shop.settings.kafka
    reader = consumer(kafka.bootstrap, f"{kafka.prefix}route", kafka.options)
    reader.subscribe([shop.settings.topic("tracking-events")])
    try:
        until(lambda: reader.poll(0.1) or reader.assignment(), "the reader to have joined")
        shop.refused("somebody reads as .*route")
    finally:
        reader.close()


def test_a_file_that_is_no_backup(shop: Shop) -> None:
    shop.backup.write_bytes(b"rubbish" * 1_000)
    shop.refused("no backup")


def test_one_that_broke_off_is_begun_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else opens the ledger meanwhile."""
    shop.make()
    shop.lose()

    class PowerCutError(Exception):
        pass

    def cut(*_: Any) -> None:
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr("streams.restoring.told.remember", cut)
        with pytest.raises(PowerCutError):
            restore(shop.settings, shop.backup)
    with pytest.raises(RuntimeError, match="not finished"):
        open_ledger(shop.settings)
    restore(shop.settings, shop.backup)
    ledger = open_ledger(shop.settings)
    with ledger.transaction() as connection:
        connection.execute(insert(tables.suppressed), {"subject": "s", "at": 1, "request_id": "r"})
    ledger.close()
