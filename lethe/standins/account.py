"""What an invented company has at the stand-ins: its policy, accounts and credentials."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from streams.settings import Ads, Settings, SettingsError

SITE = "shop.example"
POLICY = Path(__file__).with_name("policy.toml")

# What the stand-ins take for good, by the file below ``<secrets>/ads`` that it belongs in.
CREDENTIALS: Mapping[str, str] = {
    "ga4-G-SHOP1": "ga4-secret",
    "ga4-admin-token": "google-token",
    "google-ads-token": "google-token",
    "linkedin-token": "linkedin-token",
    "meta-token": "meta-token",
    "x-consumer-key": "x-consumer-key",
    "x-consumer-secret": "x-consumer-secret",
    "x-token": "x-token",
    "x-token-secret": "x-token-secret",
}


def sections(url: str) -> str:
    """Return what belongs into ``lethe.toml``: the policy, and accounts at the stand-ins."""
    accounts = Path(__file__).with_name("ads.toml").read_text().replace("{url}", url)
    return f'policy = "{POLICY}"\n\n{accounts}'


def set_up(url: str, file: Path, secrets: Path) -> None:
    """Write settings for the stand-ins of ``url`` to ``file``, and the credentials.

    Raise SettingsError rather than replace anything.
    """
    content = sections(url)
    if file.exists() and file.read_text() != content:
        raise SettingsError(f"{file}: is yours, which stays; put into it what is shown without")
    put_credentials(secrets)
    file.write_text(content)


def with_standins(settings: Settings, url: str) -> Settings:
    """Return settings under which every provider is its stand-in, and the policy the company's."""
    accounts = Ads(**tomllib.loads(sections(url))["ads"])
    ads = accounts.model_copy(update={"lease_seconds": settings.ads.lease_seconds})
    return settings.model_copy(update={"policy": POLICY, "ads": ads})


def put_credentials(secrets: Path) -> None:
    """Write the credentials below ``secrets``. Raise SettingsError rather than replace another."""
    folder = secrets / "ads"
    files = {folder / name: credential for name, credential in CREDENTIALS.items()}
    for file, credential in files.items():
        if file.exists() and file.read_text() != credential:
            raise SettingsError(f"secret file {file}: holds a credential of yours, which stays")
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    for file, credential in files.items():
        file.touch(mode=0o600)
        file.write_text(credential)


def ad_ids(number: int) -> dict[str, str]:
    """Return what the providers' cookies and clicks left with an invented visitor."""
    return {
        "gclid": f"EAIaIQ{number:010}",
        "fbp": f"fb.1.1795424000000.{100_000_000 + number}",
        "li_fat_id": f"{number:08x}-0000-4000-8000-000000000000",
        "twclid": f"2-{number:020x}",
        "ga_client_id": f"{number}.1795424000",
    }
