"""What is published stays published: numbers, text, and who can read whom."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import compatibility, registry
from schemas.compatibility import breaks

# What is on brokers out there. Only ever add to the end.
PUBLISHED = [
    "1 anonymised_event 1",
    "2 dead_letter 1",
    "3 pipeline_alert 1",
    "4 tracking_event 1",
    "5 ad_event 1",
    "6 consent_change 1",
    "7 consent_state 1",
    "8 case 1",
    "9 deletion 1",
    "10 deletion_receipt 1",
    "11 form_submission 1",
    "12 mailing_change 1",
    "13 notice 1",
    "14 service_event 1",
    "15 subject_request 1",
    "16 letter 1",
    "17 correction 1",
    "18 hold 1",
    "19 export 1",
    "20 deletion_receipt 2",
    "21 access 1",
    "22 security_alert 1",
]

Change = Callable[[list[dict[str, Any]]], object]


def changed(change: Change, name: str = "tracking_event") -> str:
    schema = json.loads((registry.HERE / "avro" / f"{name}.v1.avsc").read_text())
    change(schema["fields"])
    return json.dumps(schema)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the schemas that the registry reads instead."""
    shutil.copytree(registry.HERE / "avro", tmp_path / "avro")
    shutil.copy(registry.LOCK, tmp_path)
    monkeypatch.setattr(registry, "HERE", tmp_path)
    for module in (registry, compatibility):
        monkeypatch.setattr(module, "LOCK", tmp_path / "ids.lock")
    return tmp_path


def test_numbers_on_the_wire_never_change() -> None:
    lines = registry.LOCK.read_text().splitlines()
    assert [line.rpartition(" ")[0] for line in lines][: len(PUBLISHED)] == PUBLISHED
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))


def test_what_is_there_can_read_each_other() -> None:
    texts: dict[str, dict[int, str]] = {}
    for record in registry.records().values():
        texts.setdefault(record.name, {})[record.version] = record.text
    assert [problem for name, each in texts.items() for problem in breaks(name, each)] == []


BREAKING: dict[str, Change] = {
    "a field without default": lambda fields: fields.append({"name": "shop", "type": "string"}),
    "a changed type": lambda fields: fields[3].update(type="long"),
    "a field without default gone": lambda fields: fields.pop(3),
    "a renamed field": lambda fields: fields[3].update(name="shop"),
    "a narrower type": lambda fields: fields[2].update(type="int"),
    "an event type gone": lambda fields: fields[4]["type"]["symbols"].pop(),
    "an event type more": lambda fields: fields[4]["type"]["symbols"].append("scroll"),
    "null no longer allowed": lambda fields: fields[6].update(type="string", default=""),
}


@pytest.mark.parametrize("change", BREAKING.values(), ids=list(BREAKING))
def test_a_version_that_breaks_a_reader_is_refused(change: Change) -> None:
    versions = {1: changed(lambda _: None), 2: changed(change)}
    assert breaks("tracking_event", versions)


def test_breaking_is_looked_for_between_all_versions_not_neighbours() -> None:
    """v2 adds a field with a default, v3 takes the default away: v3 cannot read v1."""
    added = {"name": "shop", "type": "string"}
    versions = {
        1: changed(lambda _: None),
        2: changed(lambda fields: fields.append(added | {"default": ""})),
        3: changed(lambda fields: fields.append(added)),
    }
    assert breaks("tracking_event", versions) == ["tracking_event: v3 cannot read v1"]


def test_a_new_version_is_locked_and_becomes_the_newest(elsewhere: Path) -> None:
    extended = changed(lambda fields: fields.append(
        {"name": "shop", "type": "string", "default": "", "pii": "none"}
    ))  # fmt: skip
    (elsewhere / "avro" / "tracking_event.v2.avsc").write_text(extended)
    before = registry.LOCK.read_text()
    assert compatibility.main() == 0
    assert registry.LOCK.read_text().startswith(before)
    added = registry.records.__wrapped__()[len(PUBLISHED) + 1]
    assert (added.name, added.version) == ("tracking_event", 2)
    assert compatibility.main() == 0
    assert len(registry.LOCK.read_text().splitlines()) == len(PUBLISHED) + 1


def test_a_breaking_version_is_not_locked(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = changed(BREAKING["a field without default"])
    (elsewhere / "avro" / "tracking_event.v2.avsc").write_text(broken)
    before = registry.LOCK.read_text()
    assert compatibility.main() == 1
    assert "tracking_event: v2 cannot read v1" in capsys.readouterr().err
    assert registry.LOCK.read_text() == before


def test_a_published_version_that_was_edited_is_noticed(elsewhere: Path) -> None:
    """Even where Avro's canonical form is the same: another default is another meaning."""
    edited = changed(lambda fields: fields[17].update(default=True))
    (elsewhere / "avro" / "tracking_event.v1.avsc").write_text(edited)
    with pytest.raises(ValueError, match="tracking_event v1 was edited after it was published"):
        registry.records.__wrapped__()


def test_a_schema_that_is_not_locked_is_noticed(elsewhere: Path) -> None:
    orphan = changed(lambda _: None).replace("TrackingEvent", "Order")
    (elsewhere / "avro" / "order.v1.avsc").write_text(orphan)
    with pytest.raises(ValueError, match=r"not in ids\.lock"):
        registry.records.__wrapped__()


def test_a_schema_file_without_a_version_is_refused(elsewhere: Path) -> None:
    (elsewhere / "avro" / "order.avsc").write_text("{}")
    with pytest.raises(ValueError, match=r"order\.avsc: name it"):
        registry.schema_files()
