"""The settings that docs/ads.md shows can be used, and are all there are."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from privacy.ads import IDS, ProviderName
from privacy.outcome import Reason
from sinks.ads import ga4, google_ads, linkedin, meta, x
from sinks.ledger.deliveries import State
from streams.delivery.connectors import Secrets, connector
from streams.settings import Settings, SettingsError, load

TEXT = (Path(__file__).parents[2] / "docs/ads.md").read_text()
CONTENT = tomllib.loads("\n".join(re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)))["ads"]
PROVIDERS = {"ga4": ga4, "google-ads": google_ads, "linkedin": linkedin, "meta": meta, "x": x}

each_provider = pytest.mark.parametrize("name", IDS)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Make the settings that are shown, with a folder for the secret files."""
    (tmp_path / "secrets/ads").mkdir(parents=True)
    return load(engines=False, data_dir=tmp_path, ads=CONTENT)


def secrets(name: str) -> list[str]:
    """Return the secret files that the table names for a provider."""
    (row,) = re.findall(rf"^\| `{name}` \| (`{name}-.*) \|$", TEXT, re.MULTILINE)
    return re.findall(rf"`({name}-[\w-]+)`", row)


@each_provider
def test_the_section_and_the_secret_files_make_a_connector(
    settings: Settings, name: ProviderName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Secrets, "has", lambda *_: True)  # want also what is not needed
    with pytest.raises(SettingsError, match="secret file"):
        connector(name, settings)
    for file in secrets(name):
        (settings.secrets / "ads" / file).write_text("secret")
    assert connector(name, settings).name == name


@each_provider
def test_every_key_is_shown_and_no_other(name: str) -> None:
    known = {each.name for each in fields(PROVIDERS[name].Account)}
    assert set(CONTENT[name.replace("-", "_")]) == known


@each_provider
def test_a_default_is_told_as_it_is(name: str) -> None:
    shown = CONTENT[name.replace("-", "_")]
    for field in fields(PROVIDERS[name].Account):
        if isinstance(field.default, (str, int, bool)):
            assert shown[field.name] == field.default, field.name


@each_provider
def test_what_counts_once_is_told_as_the_connector_has_it(
    settings: Settings, name: ProviderName
) -> None:
    for file in secrets(name):
        (settings.secrets / "ads" / file).write_text("secret")
    (row,) = re.findall(rf"^\| `{name}` \| .* \| (yes|no).*\|$", TEXT, re.MULTILINE)
    assert (row == "yes") is connector(name, settings).deduplicates


def test_every_state_and_reason_of_a_delivery_is_explained() -> None:
    explained = set(re.findall(r"`([a-z_]+)`", TEXT))
    names = [each.name for each in Reason]
    ours = names[names.index("CONSENT_UNKNOWN") : names.index("PROVIDER_AWAY") + 1]
    assert {*State, *(Reason[each] for each in ours)} <= explained
