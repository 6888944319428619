"""No topic without owner, law, retention, dead letters and example; nothing left over."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy import consent_request
from privacy.ads import IDS, AdEvent
from privacy.lifecycle import ServiceEvent
from schemas import registry
from schemas.registry import CASES, RECEIPTS, Topic, codec_of, latest, records, topics, topics_of
from sinks.kafka_acls import CLIENTS

CLASSES = {"none", "pseudonym", "indirect", "location", "identifier"}
HOUR_MS = 3_600_000
# How long at most, by name; the rest 24 hours.
LONGEST_MS = {
    "tracking-events-raw": HOUR_MS // 4,
    "dead-letters": 168 * HOUR_MS,
    "pipeline-alerts": 168 * HOUR_MS,
    "consent-changes": 168 * HOUR_MS,
    "service-events": 168 * HOUR_MS,
    "notices": 168 * HOUR_MS,
    "mailing-changes": 168 * HOUR_MS,
    "deletions": 720 * HOUR_MS,
    "deletion-receipts-holder": 720 * HOUR_MS,
    "letters": 168 * HOUR_MS,
    "corrections": 720 * HOUR_MS,
    "holds": 720 * HOUR_MS,
    "exports": 720 * HOUR_MS,
    **{f"ads-{provider}": 6 * HOUR_MS for provider in IDS},
}
# What stays is the last word on each key alone; the one before goes within a day.
COMPACTED = {"consent-state", "cases-department"}
EXAMPLES = registry.HERE / "examples"

each_topic = pytest.mark.parametrize("topic", topics().values(), ids=list(topics()))


@each_topic
def test_topic_says_who_and_why(topic: Topic) -> None:
    for stated in (topic.description, topic.owner, topic.key, topic.legal_basis):
        assert stated.strip()
    assert topic.producers
    assert topic.consumers
    assert topic.key_personal_data in CLASSES
    assert topic.partitions > 0


@each_topic
def test_personal_data_have_a_legal_basis(topic: Topic) -> None:
    holds = {*topic.personal_data.values(), topic.key_personal_data} != {"none"}
    assert topic.legal_basis.startswith("Art. 6(1)" if holds else "none: ")


@each_topic
def test_topic_keeps_no_longer_than_promised(topic: Topic) -> None:
    # Else a producer whose clock is ahead delays deletion.
    assert topic.config["message.timestamp.type"] == "LogAppendTime"
    if topic.name in COMPACTED:
        assert topic.config["cleanup.policy"] == "compact"
        assert 0 < int(topic.config["max.compaction.lag.ms"]) <= 24 * HOUR_MS
        assert int(topic.config["segment.ms"]) <= int(topic.config["max.compaction.lag.ms"])
        return
    assert topic.config["cleanup.policy"] == "delete"
    assert 0 < int(topic.config["retention.ms"]) <= LONGEST_MS.get(topic.name, 24 * HOUR_MS)
    assert int(topic.config["segment.ms"]) <= int(topic.config["retention.ms"])


@each_topic
def test_dead_letters_go_to_a_topic_that_holds_no_personal_data(topic: Topic) -> None:
    if topic.dead_letters is None:
        assert topic.owner == "operations"
        return
    target = topics()[topic.dead_letters]
    assert target.dead_letters is None
    assert set(target.personal_data.values()) == {"none"}


def test_topics_between_which_a_lane_runs_have_as_many_partitions() -> None:
    """And one visitor's key, so that what was chosen and what happened lie on the same one."""
    related = [
        topic
        for topic in topics().values()
        if topic.name.startswith(("tracking-", "consent-", "ads-"))
    ]
    assert len({topic.partitions for topic in related}) == 1
    keys = {topic.key for topic in related if topic.name != "tracking-anonymised"}
    assert keys == {"site|cookie id"}


def test_each_ad_provider_has_its_topic() -> None:
    found = {t.name.removeprefix("ads-") for t in topics().values() if t.record == "ad_event"}
    assert found == set(IDS)


def test_consent_and_ads_have_the_words_of_the_core() -> None:
    types = {field["name"]: field["type"] for field in latest("consent_change").parsed["fields"]}
    for name in ("decision", "how"):
        assert types[name]["symbols"] == consent_request.FIELDS[name].schema()["enum"]
    assert latest("consent_change").fields == consent_request.FIELDS.keys() | {
        "site",
        "received_at",
    }
    told = {each.name for each in dataclasses.fields(AdEvent)} - {"contact", "visitor", "epoch"}
    assert latest("ad_event").fields == told | {"cookie_id", "consent_epoch"}


def test_services_have_the_words_of_the_core() -> None:
    types = {field["name"]: field["type"] for field in latest("service_event").parsed["fields"]}
    assert types["event"]["symbols"] == list(ServiceEvent)


def test_each_department_and_each_holder_has_a_topic_of_its_own() -> None:
    made = topics_of(["marketing", "people"], ["crm"])
    assert made.keys() - topics() == {"cases-marketing", "cases-people", "deletion-receipts-crm"}
    assert topics().keys() - made == {CASES, RECEIPTS}
    for name, like in (("cases-people", CASES), ("deletion-receipts-crm", RECEIPTS)):
        assert made[name] == dataclasses.replace(topics()[like], name=name)
    assert topics_of().keys() == topics().keys() - {CASES, RECEIPTS}


def test_what_is_read_outside_the_worker_is_compressed_so_that_anybody_can_read_it() -> None:
    """The SDK's base install has no lz4 and no zstd."""
    outside = {name for name, each in CLIENTS.items() if each.principal != "worker"}
    for topic in topics().values():
        read_outside = not outside.isdisjoint(topic.consumers)
        assert topic.config["compression.type"] == ("gzip" if read_outside else "producer")
        for producer in topic.producers:
            assert not read_outside or codec_of(producer) == "gzip"
    assert codec_of("anonymise") is None
    with pytest.raises(ValueError, match=r"^worker is no producer"):
        codec_of("worker")


def test_every_field_of_every_record_has_a_personal_data_class() -> None:
    """Also inside records: an ad id is no less personal for being nested."""
    for record in records().values():
        assert set(_classes(record.parsed)) <= CLASSES, record.name


def _classes(schema: object) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from _classes(each)
    elif isinstance(schema, dict):
        for field in schema.get("fields", []):
            yield field.get("pii", f"{field['name']} has none")
            yield from _classes(field["type"])
        for inside in ("items", "values"):
            yield from _classes(schema.get(inside))


def test_anonymised_events_hold_no_identifier() -> None:
    assert set(latest("anonymised_event").personal_data.values()) <= {"none", "pseudonym"}


def test_each_topic_has_examples_and_each_example_a_topic() -> None:
    assert set(topics()) == {folder.name for folder in EXAMPLES.iterdir()}
    for name in topics():
        assert list((EXAMPLES / name).glob("*.json")), name


def test_each_record_is_on_some_topic_and_each_topic_has_a_record() -> None:
    assert {topic.record for topic in topics().values()} == {
        record.name for record in records().values()
    }


GOOD = (registry.HERE / "topics" / "tracking-events.toml").read_text()


@pytest.mark.parametrize(
    "key", ["owner", "producers", "consumers", "legal_basis", "dead_letters", "record", "key"]
)
def test_topic_file_that_lacks_something_is_refused(tmp_path: Path, key: str) -> None:
    file = tmp_path / "orders.toml"
    file.write_text("\n".join(x for x in GOOD.splitlines() if not x.startswith(f"{key} =")))
    with pytest.raises(ValueError, match=rf"orders\.toml: missing: {key}$"):
        registry._read_topic(file)


def test_topic_file_with_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "orders.toml"
    file.write_text(f'ownr = "me"\n{GOOD}')
    with pytest.raises(ValueError, match=r"orders\.toml: unknown: ownr$"):
        registry._read_topic(file)
