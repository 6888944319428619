"""Backups of the ledger, made while everything runs."""

import os
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException

from schemas.registry import topics_of
from sinks import sqlite
from sinks.ledger import inbox, snapshot
from sinks.ledger.ledger import BACKUP, Ledger
from sinks.ledger.migrate import FOLDER
from sinks.migrations import read as migrations
from sinks.places import Place
from streams.restoring import archive
from streams.restoring.archive import BackupError, Manifest, Offsets
from streams.settings import Settings
from streams.shared import Shared, now
from streams.status import readers
from streams.version import VERSION


def backup(shared: Shared, file: Path) -> Manifest:
    """Write a backup to ``file``, in the place of what is there; return what it says of itself.

    Raise BackupError when the broker does not answer, LedgerError and OSError.
    """
    made_at = now()
    # Before the ledger is read: what lies behind these places it may or may not know.
    try:
        ends, read = _places(shared)
    except KafkaException as error:
        raise BackupError(f"{error.args[0].name()}: the broker must answer, to say what is on "
                          "the topics at this moment") from None  # fmt: skip
    manifest = Manifest(
        lethe=VERSION,
        schema=migrations(FOLDER)[-1].number,
        made_at=made_at,
        database=_database(shared.ledger),
        prefix=shared.settings.kafka.prefix,
        policy=shared.known_policy.version,
        ends=ends,
        readers=read,
    )
    part = file.with_name(f".{file.name}.{os.getpid()}.db")
    try:
        snapshot.take(shared.ledger, part)
        archive.write(file, manifest, part)
    finally:
        sqlite.remove(part)
    with shared.ledger.transaction() as connection:
        inbox.unmark(connection, BACKUP)
        inbox.mark(connection, BACKUP, BACKUP, made_at)
    return manifest


def _places(shared: Shared) -> tuple[Offsets, dict[str, Offsets]]:
    settings, policy, places = shared.settings, shared.known_policy, shared.places
    names = list(topics_of(policy.departments, policy.holders))
    ends = places.ends([settings.topic(each) for each in names])
    read: dict[str, Offsets] = {}
    for reader, topic in readers(policy.holders):
        found = places.committed(settings.kafka.prefix + reader, [settings.topic(topic)])
        read.setdefault(reader, {}).update(_nested(settings, found))
    return _nested(settings, {place: high for place, (_, high) in ends.items()}), read


def _nested(settings: Settings, offsets: Mapping[Place, int]) -> Offsets:
    found: Offsets = {}
    for (topic, partition), offset in offsets.items():
        name = topic.removeprefix(settings.kafka.prefix)
        found.setdefault(name, {})[str(partition)] = offset
    return found


def _database(ledger: Ledger) -> str:
    with ledger.reading() as connection:
        return connection.dialect.name
