"""Which records and topics exist; read once from the files beside this one.

``avro/<record>.v<N>.avsc`` is a published version and is never edited again.
``ids.lock`` gives each its number on the wire and is only ever appended to.
``topics/<topic>.toml`` says who owns, writes and reads a topic and under which rules.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, KeysView, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from fastavro import parse_schema

HERE = Path(__file__).parent
LOCK = HERE / "ids.lock"

CASES = "cases-department"
RECEIPTS = "deletion-receipts-holder"
"""Templates: a topic like it for each department or holder, whose name takes that word's place."""


@dataclass(frozen=True, slots=True)
class Record:
    """One published version of a record: its number on the wire and its Avro schema."""

    id: int
    name: str
    version: int
    text: str
    parsed: Any = field(compare=False, repr=False)

    # Field name, in wire order, to personal-data class:
    # none, pseudonym, indirect, location or identifier.
    personal_data: Mapping[str, str] = field(compare=False, repr=False)

    @property
    def fields(self) -> KeysView[str]:
        """Field names in wire order."""
        return self.personal_data.keys()


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as the catalogue describes it. ``config`` is what the broker is given."""

    name: str
    description: str
    owner: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    record: str
    key: str
    key_personal_data: str
    legal_basis: str
    partitions: int
    dead_letters: str | None
    config: Mapping[str, str]

    @property
    def personal_data(self) -> Mapping[str, str]:
        """Personal-data class of each field of the topic's record."""
        return latest(self.record).personal_data


def digest(text: str) -> str:
    """Hash the whole schema, defaults included, which Avro's canonical form ignores."""
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def schema_files() -> dict[tuple[str, int], Path]:
    """(record, version) to file, in order."""
    found = {}
    for path in sorted(HERE.glob("avro/*.avsc")):
        match = re.fullmatch(r"([a-z_]+)\.v(\d+)\.avsc", path.name)
        if match is None:
            raise ValueError(f"{path.name}: name it <record>.v<N>.avsc")
        found[match[1], int(match[2])] = path
    return found


@cache
def records() -> dict[int, Record]:
    """Every published record version by wire id.

    Raises ValueError when a schema file is missing from the lock or no longer matches it.
    """
    found: dict[int, Record] = {}
    files = schema_files()
    for line in LOCK.read_text().splitlines():
        number, name, version, sha = line.split()
        text = files.pop((name, int(version))).read_text()
        if digest(text) != sha:
            raise ValueError(f"{name} v{version} was edited after it was published; add a version")
        content = json.loads(text)
        found[int(number)] = Record(
            int(number),
            name,
            int(version),
            text,
            parse_schema(content),
            {each["name"]: each["pii"] for each in content["fields"]},
        )
    if files:
        raise ValueError(f"not in ids.lock: {sorted(files)}; run python -m schemas.compatibility")
    return found


@cache
def latest(name: str) -> Record:
    """Return the newest version of a record; KeyError when there is none."""
    versions = [record for record in records().values() if record.name == name]
    if not versions:
        raise KeyError(name)
    return max(versions, key=lambda record: record.version)


@cache
def topics() -> dict[str, Topic]:
    """Every topic of the catalogue, the templates too, by name.

    A file that lacks a key raises ValueError.
    """
    return {path.stem: _read_topic(path) for path in sorted(HERE.glob("topics/*.toml"))}


def topics_of(departments: Iterable[str] = (), holders: Iterable[str] = ()) -> dict[str, Topic]:
    """Return the topics that an installation with these departments and holders has, by name."""
    found = dict(topics())
    for template, parties in ((CASES, departments), (RECEIPTS, holders)):
        like = found.pop(template)
        for party in parties:
            name = f"{template.rpartition('-')[0]}-{party}"
            found[name] = replace(like, name=name)
    return found


def codec_of(producer: str) -> str | None:
    """Return how a producer of the catalogue has to compress; None: as it likes.

    Readers outside have gzip and may have nothing else: the SDK's base install does not. Raise
    ValueError for one that the catalogue does not have.
    """
    written = [each for each in topics().values() if producer in each.producers]
    if not written:
        raise ValueError(f"{producer} is no producer of the catalogue")
    codecs = (each.config["compression.type"] for each in written)
    return next((each for each in codecs if each != "producer"), None)


def _read_topic(path: Path) -> Topic:
    content = tomllib.loads(path.read_text())
    wanted = {each.name for each in fields(Topic)} - {"name"}
    for problem, keys in (
        ("missing", wanted - content.keys()),
        ("unknown", content.keys() - wanted),
    ):
        if keys:
            raise ValueError(f"{path.name}: {problem}: {', '.join(sorted(keys))}")
    content["producers"] = tuple(content["producers"])
    content["consumers"] = tuple(content["consumers"])
    content["config"] = {key: str(value) for key, value in content["config"].items()}
    if content["dead_letters"] == "none":
        content["dead_letters"] = None
    return Topic(name=path.stem, **content)
