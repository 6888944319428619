"""docs/threat-model.md names tests that exist; docs/security.md and SECURITY.md what there is."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from sinks.clickhouse.roles import USERS
from sinks.keys.intake import LINKS, UNSUBSCRIBE
from streams.settings import ClickHouse
from tests.named import named, names_in

ROOT = Path(__file__).parents[2]
THREATS = (ROOT / "docs/threat-model.md").read_text()
GUIDE = (ROOT / "docs/security.md").read_text()


@pytest.mark.parametrize(("file", "name"), sorted(set(named(THREATS))))
def test_the_test_that_shows_it_exists(file: str, name: str) -> None:
    assert name in names_in(file)


def test_each_threat_has_a_kind_and_a_test() -> None:
    kinds = {"S", "T", "R", "I", "D", "E", "L", "Id", "Nr", "De", "Dd", "U", "Nc"}
    threats = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for table in re.findall(r"(?m)^\| threat \|.*\n\|.*\n((?:\|.*\n)+)", THREATS)
        for line in table.splitlines()
    ]
    assert len(threats) > 25
    for threat, kind, stops, shown, _ in threats:
        assert set(kind.split(", ")) <= kinds, threat
        assert stops, threat
        assert named(shown), threat


def test_each_user_of_clickhouse_is_described_and_no_other() -> None:
    table = GUIDE.partition("| user |")[2].partition("\n\n")[0]
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", table)) == set(USERS)


def test_what_is_to_be_written_can_be_read() -> None:
    (toml,) = re.findall(r"(?s)```toml\n(.*?)```", GUIDE)
    place = ClickHouse.model_validate(tomllib.loads(toml)["clickhouse"])
    assert place.secure
    (xml,) = re.findall(r"(?s)```xml\n(.*?)```", GUIDE)
    assert ET.fromstring(xml).findtext("tcp_port_secure") == str(place.port)


def test_what_is_to_be_typed_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?m)(?:^|`)make (\w+)", GUIDE)
    assert {"sbom", "audit"} <= set(targets)
    for target in targets:
        assert re.search(rf"(?m)^{target}:", makefile), target
    for folder in (UNSUBSCRIBE, LINKS):
        assert f"`{folder}/<number>`" in (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/security.md", "docs/threat-model.md"])
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(link).is_file(), link
