"""Examples are what is really on the topics, of nobody; bytes of every version stay readable."""

import base64
import ipaddress
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from privacy.network import is_shortened
from schemas import registry
from schemas.codec import decode, encode
from schemas.registry import latest, records, topics

EXAMPLES = registry.HERE / "examples"
DOCUMENTATION = [
    ipaddress.ip_network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]

each_example = pytest.mark.parametrize(
    "file", sorted(EXAMPLES.glob("*/*.json")), ids=lambda file: f"{file.parent.name}-{file.stem}"
)
each_golden = pytest.mark.parametrize(
    "file", sorted(EXAMPLES.glob("*/*.hex")), ids=lambda file: f"{file.parent.name}-{file.stem}"
)


def load(file: Path) -> dict[str, Any]:
    """Return an example, what is sealed as bytes; JSON has base64."""
    content = json.loads(file.read_text())
    assert isinstance(content, dict)
    for name in {"sealed", "content"} & content.keys():
        content[name] = as_bytes(content[name])
    return content


def as_bytes(sealed: Any) -> Any:
    if isinstance(sealed, dict):
        return {name: as_bytes(each) for name, each in sealed.items()}
    return None if sealed is None else base64.b64decode(sealed, validate=True)


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    """Return a decoded value with its times in milliseconds, as examples have them."""
    return {
        name: round(each.timestamp() * 1000) if isinstance(each, datetime) else each
        for name, each in value.items()
    }


def golden(file: Path) -> tuple[str, int, bytes]:
    """Return record, version and bytes of ``<case>.v<N>.hex``."""
    version = re.fullmatch(r"[a-z_]+\.v(\d+)", file.stem)
    assert version, file.name
    return topics()[file.parent.name].record, int(version[1]), bytes.fromhex(file.read_text())


@each_example
def test_example_is_a_message_of_its_topic(file: Path) -> None:
    record = topics()[file.parent.name].record
    assert as_json(decode(record, encode(record, load(file)))) == load(file)


@each_example
def test_example_names_every_field(file: Path) -> None:
    assert list(load(file)) == list(latest(topics()[file.parent.name].record).fields)


@each_example
def test_example_has_golden_bytes_of_the_newest_version(file: Path) -> None:
    record = latest(topics()[file.parent.name].record)
    bytes_file = file.with_name(f"{file.stem}.v{record.version}.hex")
    assert encode(record.name, load(file)) == bytes.fromhex(bytes_file.read_text())


@each_golden
def test_published_bytes_stay_readable(file: Path) -> None:
    record, version, message = golden(file)
    assert records()[int.from_bytes(message[1:5], "big")].version == version
    case = file.with_name(f"{file.name.partition('.')[0]}.json")
    assert as_json(decode(record, message)) == load(case)


def test_every_record_version_has_golden_bytes() -> None:
    held = {golden(file)[:2] for file in EXAMPLES.glob("*/*.hex")}
    assert held == {(record.name, record.version) for record in records().values()}


def test_there_is_nothing_else_among_the_examples() -> None:
    assert {file.suffix for file in EXAMPLES.rglob("*") if file.is_file()} == {".json", ".hex"}


@each_example
def test_example_is_of_nobody(file: Path) -> None:
    """Addresses are from the ranges set aside for documentation, names from example domains."""
    text = file.read_text()
    for found in re.findall(r"\d+(?:\.\d+){3}(?=\")|[0-9a-f]+(?::[0-9a-f]*){2,}(?=\")", text):
        address = ipaddress.ip_address(found)
        assert any(address in network for network in DOCUMENTATION)
    for host in re.findall(r"https?://([^/\"]+)", text):
        assert host.endswith(".example")


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("tracking-events/*.json")), ids=str)
def test_tracking_events_hold_shortened_addresses_alone(file: Path) -> None:
    address = load(file)["ip"]
    assert address is None or is_shortened(address)
