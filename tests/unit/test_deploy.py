"""What is shipped in deploy/ and the compose file is true of the code."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from lethe.cli import COMMANDS
from sinks.clickhouse.roles import USERS
from sinks.clickhouse.server import config_xml
from streams.settings import Settings, load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def sample(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LETHE_CONFIG", str(ROOT / "deploy" / "config" / name))
    return load(engines=False)


def test_the_compose_file_follows_the_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "data" / "compose-spec.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(compose)] == []


def test_the_schema_would_refuse_a_mistake(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "data" / "compose-spec.json").read_text())
    compose["services"]["worker"]["comand"] = ["worker"]
    assert list(Draft7Validator(schema).iter_errors(compose))


def test_compose_names_commands_settings_and_files_that_exist(compose: dict[str, Any]) -> None:
    ours = [each for each in compose["services"].values() if "build" in each]
    assert {each["command"][0] for each in ours} <= {name.replace("_", "-") for name in COMMANDS}
    for service in ours:
        for name in service["environment"].keys() - {"LETHE_CONFIG"}:
            setting, *inner = name.removeprefix("LETHE_").lower().split("__")
            assert setting in Settings.model_fields, name
            part = getattr(load(engines=False), setting)
            assert not inner or inner[0] in type(part).model_fields, name
        assert (ROOT / service["build"]["dockerfile"]).is_file()
    for volume in compose["services"]["clickhouse"]["volumes"]:
        source = volume.split(":")[0]
        assert not source.startswith("./") or (ROOT / source).is_file()


def test_compose_takes_a_policy_and_settings_of_your_own(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment goes before settings: what the stack needs stays."""
    ours = compose["services"]["worker"]
    mounted = {each["source"]: each["target"] for each in ours["configs"]}
    assert mounted["policy"] == ours["environment"]["LETHE_POLICY"]
    assert mounted["settings"] == ours["environment"]["LETHE_CONFIG"]
    for name, each in compose["configs"].items():
        assert (ROOT / each["file"].split(":-")[1].rstrip("}")).is_file(), name
    for name, value in ours["environment"].items():
        monkeypatch.setenv(name, value)
    settings = sample("minimal.toml", monkeypatch)
    assert list(settings.sites) == ["www.your-site.example"]
    assert settings.kafka.bootstrap == "kafka:9092"


def test_keys_of_departments_are_with_those_alone_that_need_them(compose: dict[str, Any]) -> None:
    ours = {name: each for name, each in compose["services"].items() if "build" in each}
    mounted = {name: " ".join(each["volumes"]) for name, each in ours.items()}
    assert {name for name, each in mounted.items() if "/keks" in each} == {
        "keys-init",
        "collector",
        "keys",
        "worker",  # opens the cases of who asks for access to them
    }


def test_a_password_of_clickhouse_is_with_those_alone_that_log_in_by_it(
    compose: dict[str, Any],
) -> None:
    given = {
        name: {secret["source"] for secret in each["secrets"]}
        for name, each in compose["services"].items()
        if "secrets" in each
    }
    assert given == {
        "tables": {"clickhouse-admin"},
        "worker": {"clickhouse-writer", "clickhouse-eraser"},
        "report": {"clickhouse-analyst"},
    }
    assert {*compose["secrets"]} == {f"clickhouse-{user}" for user in USERS}


def test_the_image_is_built_from_what_is_there() -> None:
    for line in (ROOT / "deploy/image/Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source


def test_the_servers_configuration_is_the_one_declared() -> None:
    assert config_xml() == (ROOT / "deploy/clickhouse/config.xml").read_text()


def test_the_reference_sample_shows_every_default(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load(engines=False)
    shown = sample("reference.toml", monkeypatch)
    assert shown.model_dump() == defaults.model_dump()
    text = (ROOT / "deploy/config/reference.toml").read_text()
    for name, field in Settings.model_fields.items():
        assert name in text
        for inner in getattr(field.annotation, "model_fields", {}):
            assert inner in text, f"{name}.{inner}"


def test_the_minimal_sample_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = sample("minimal.toml", monkeypatch)
    assert list(settings.sites) == ["www.your-site.example"]
    assert settings.sites["www.your-site.example"].keys == ("choose-a-public-write-key",)
