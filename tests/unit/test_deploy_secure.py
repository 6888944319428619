"""The overlay with TLS and ACLs, docs/access.md, and the broker of the tests say the same."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from lethe.local import brokers
from streams.kafka_login import options
from streams.settings import load
from tests.integration.access.table import PRINCIPALS

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "deploy/compose/secure.yml"
DOCS = (ROOT / "docs/access.md").read_text()


def merged(below: Any, above: Any) -> Any:
    """Lay one compose file over another: maps by their keys, lists of files one after the other."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: merged(below[key], above[key]) if key in below and key in above
            else above.get(key, below.get(key))
            for key in below.keys() | above.keys()
        }  # fmt: skip
    if isinstance(below, list) and isinstance(above, list) and isinstance(above[0], dict):
        return [*below, *above]
    return above


@pytest.fixture
def compose() -> dict[str, Any]:
    base, overlay = (ROOT / "docker-compose.yml", OVERLAY)
    return dict(merged(yaml.safe_load(base.read_text()), yaml.safe_load(overlay.read_text())))


def properties(text: str) -> dict[str, str]:
    lines = [each for each in text.splitlines() if "=" in each and not each.startswith("#")]
    return {name: value for name, _, value in (each.partition("=") for each in lines)}


@pytest.fixture
def of_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the properties of a broker of the tests that asks who is there."""
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(brokers.subprocess, "run", lambda *_, **__: done)
    access = brokers.Access({"admin": "none"}, tmp_path / "node.pem", tmp_path / "ca.pem", 9094)
    brokers.kafka(tmp_path, tmp_path / "kafka", tmp_path / "log", 9093, access)
    return properties((tmp_path / "kafka/server.properties").read_text())


def test_the_overlay_follows_the_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "data/compose-spec.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(compose)] == []


def test_nothing_of_the_stack_speaks_to_kafka_in_the_clear(compose: dict[str, Any]) -> None:
    """Whoever waits for the topics speaks to Kafka; each has its own certificate, and no other."""
    assert "PLAINTEXT" not in json.dumps(compose["services"]["kafka"])
    speakers = {
        name: each
        for name, each in compose["services"].items()
        if name == "topics" or "topics" in each.get("depends_on", ())
    }
    principals = {"topics": "admin", "acls": "admin", "collector": "collector", "worker": "worker"}
    assert speakers.keys() == principals.keys()
    for name, each in speakers.items():
        found = json.loads(each["environment"]["LETHE_KAFKA__OPTIONS"])
        assert found["security.protocol"] == "SSL"
        assert options(load(engines=False, kafka={"options": found}))
        sources = {
            secret["source"] for secret in each["secrets"] if secret["source"].startswith("kafka")
        }
        assert sources == {"kafka-authority", f"kafka-{principals[name]}"}
        assert name in {"topics", "acls"} or "acls" in each["depends_on"]


def test_the_brokers_of_overlay_docs_and_tests_ask_for_the_same(
    compose: dict[str, Any], of_tests: dict[str, str]
) -> None:
    (shown,) = re.findall(r"```properties\n(.*?)```", DOCS, re.DOTALL)
    documented = properties(shown)
    environment = compose["services"]["kafka"]["environment"]
    for name in (
        "ssl.enabled.protocols", "ssl.principal.mapping.rules", "authorizer.class.name",
        "super.users", "auto.create.topics.enable",
    ):  # fmt: skip
        variable = "KAFKA_" + name.upper().replace(".", "_")
        assert documented[name] == of_tests[name] == environment[variable].replace("$$", "$")
    for name in ("sasl.enabled.mechanisms", "listener.name.controller.ssl.client.auth"):
        assert documented[name] == of_tests[name]
    jaas = "listener.name.clients.scram-sha-512.sasl.jaas.config"
    assert documented[jaas] == of_tests[jaas]


def test_the_settings_shown_are_taken_and_name_no_secret() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert len(blocks) == 2
    for each in blocks:
        made = load(engines=False, **tomllib.loads(each))
        assert made.kafka.options["security.protocol"].endswith("SSL")
        assert len(made.kafka.bootstrap.split(",")) == 3


def test_every_principal_has_a_row_and_no_other() -> None:
    rows = DOCS.partition("| principal | who logs in")[2].partition("\n\n")[0].splitlines()[2:]
    named = {row.split("`")[1] for row in rows}
    generic = {re.sub(r"^(department|holder)-.*", r"\1-<name>", each) for each in PRINCIPALS}
    assert named == generic
