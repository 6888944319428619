"""Every setting there is; the only reader of the environment and of ``lethe.toml``.

First found wins: ``LETHE_*`` in the environment (``LETHE_KAFKA__BOOTSTRAP=...``), ``lethe.toml``
in the working folder (or the file ``LETHE_CONFIG`` names), the addresses that ``lethe up`` wrote
into the data folder, the default. Secrets are never settings: they are files under
``<data_dir>/secrets`` or where ``*_file`` points.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

ENGINES = "engines.json"  # written by ``lethe up`` into the data folder

Port = Annotated[int, Field(ge=0, le=65535)]
Origin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:\d{1,5})?$")]


class Part(BaseModel):
    """A section of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(Part):
    """Where the broker is, and names that keep two installations on it apart."""

    bootstrap: str = "127.0.0.1:9092"
    prefix: str = Field(default="", pattern=r"^[a-z0-9.-]*$", description="put before each topic")
    replication: int | None = Field(
        default=None, ge=1, description="copies of each partition; default: one a broker, 3 at most"
    )
    session_seconds: float = Field(
        default=10.0, ge=1, description="how soon the work of a dead reader goes to another"
    )
    options: dict[str, str] = Field(
        default={}, description="passed to every librdkafka client: TLS, SASL and the like"
    )

    @field_validator("options")
    @classmethod
    def _without_secrets_and_verified(cls, options: dict[str, str]) -> dict[str, str]:
        for name, remedy in _NOT_HERE.items():
            if name in options:
                raise ValueError(f"{name} {remedy}")
        return options


# What the options may not say. In an environment or a settings file, secrets are read by others;
# and of a broker that nobody verifies, only some of our clients would know not to verify it.
_NOT_HERE = {
    "sasl.password": "is a secret: put it into the file <secrets>/kafka-password",
    "ssl.key.password": "is a secret: put it into the file <secrets>/kafka-key-password",
    "ssl.key.pem": "is a secret: name the key's file, in ssl.key.location",
    "ssl.keystore.location": "is not known to all clients: use ssl.key.location",
    "ssl.keystore.password": "is a secret: use ssl.key.location and <secrets>/kafka-key-password",
    "sasl.oauthbearer.client.secret": "is a secret, and such a login is not supported",
    "enable.ssl.certificate.verification": "cannot be changed: the broker is always verified",
    "ssl.endpoint.identification.algorithm": "cannot be changed: its name is always verified",
}


class ClickHouse(Part):
    """Where ClickHouse is. Passwords come from ``<secrets>/clickhouse-<user>``."""

    host: str = "127.0.0.1"
    port: Port = 9000
    http_port: Port = 8123
    secure: bool = False
    ca: Path | None = Field(
        default=None, description="who certifies its TLS, in PEM; default: whom this machine trusts"
    )
    replicated: bool = Field(
        default=False, description="make tables Replicated ones, in a Replicated database"
    )
    database: str = Field(default="lethe", pattern=r"^[a-z][a-z0-9_]*$")


class Collector(Part):
    """The HTTP entrance."""

    host: str = "127.0.0.1"
    port: Port = 8080
    max_body: int = Field(default=65_536, ge=1, description="bytes")
    rate: float = Field(default=500.0, gt=0, description="events a second for one site key")
    burst: int = Field(default=2_000, ge=1, description="events a site key may send at once")
    trusted_hops: int = Field(
        default=0, ge=0, le=8, description="proxies of yours before the collector"
    )
    max_age_hours: int = Field(default=48, ge=1, description="older events are refused")
    max_pending: int = Field(default=50_000, ge=1, description="events waiting for the broker")


class Security(Part):
    """When somebody attacks, and whether web servers may ask who does (S8)."""

    brute_force: int = Field(default=30, ge=2, description="requests refused within 5 minutes")
    scan: int = Field(default=20, ge=2, description="pages not there within 5 minutes")
    flood: int = Field(default=300, ge=2, description="requests within 30 seconds")
    errors: int = Field(default=60, ge=2, description="failures of a site within a minute")
    error_share: float = Field(default=0.2, gt=0, le=1, description="of its answers, at least")
    block_minutes: int = Field(default=10, ge=1, le=240, description="after the last alert")
    guard: bool = Field(default=False, description="answer web servers at /v1/guard")


class Keys(Part):
    """The key server, from which departments' readers get the keys of their cases."""

    host: str = "127.0.0.1"
    port: Port = 8081


class Site(Part):
    """One site: who may send for it and what may be kept of it."""

    keys: tuple[str, ...] = Field(min_length=1, description="public write keys; several to rotate")
    origins: tuple[Origin, ...] = Field(
        default=(), description="exact origins, as https://shop.example or http://localhost:3000"
    )
    query_parameters: tuple[str, ...] = Field(
        default=("utm_source", "utm_medium", "utm_campaign"),
        description="the parameters of a page's URL that are kept",
    )
    search_terms: bool = Field(default=False, description="whether search terms are kept (opt-in)")


class Statistics(Part):
    """How statistics are made and shown."""

    k: int = Field(default=10, ge=5, le=50, description="visitors a shown cell has at least")
    rounding: int = Field(default=5, ge=1, le=50, description="figures are multiples of this")
    grace_minutes: int = Field(
        default=30, ge=0, description="how long a day waits for late events before it is closed"
    )
    settle_seconds: int = Field(
        default=60, ge=0, description="how long a day must be quiet before it is closed"
    )
    facts_hours: int = Field(default=48, ge=24, le=168, description="how long events are kept")


class Geo(Part):
    """Where city data come from. Built tables are cached, shared by every project of this user."""

    cache: Path = Field(default_factory=lambda: cache_home() / "geo")
    databases: tuple[Path, ...] = Field(
        default=(), description="your own .mmdb files (GeoLite2, GeoIP2) instead of DB-IP City Lite"
    )


class Lanes(Part):
    """How the data plane batches."""

    batch: int = Field(default=10_000, ge=1, le=200_000, description="messages in one batch")
    wait_seconds: float = Field(default=0.25, gt=0, description="for a batch to fill")
    reject_ratio: float = Field(
        default=0.5, gt=0, le=1, description="more rejects than this over a window stop the lane"
    )
    reject_window: int = Field(default=10_000, ge=100, description="messages in that window")


class Ads(Part):
    """How ads are delivered, and what the sites have at each provider.

    A provider is delivered to when the policy names it. Its account is what its connector takes
    (``sinks/ads``); its credentials are files below ``<secrets>/ads`` (docs/ads.md).
    """

    lease_seconds: float = Field(
        default=2.0, ge=0.5, le=10, description="for how long a look at consent is good"
    )
    patience_hours: float = Field(
        default=5.0, gt=0, le=6, description="after which an event is given up"
    )
    other_hosts: tuple[str, ...] = Field(
        default=(), description="hosts that events may be sent to besides the providers' own"
    )
    ga4: dict[str, Any] = {}
    google_ads: dict[str, Any] = {}
    linkedin: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    x: dict[str, Any] = {}


class Settings(BaseSettings):
    """All settings, read once. See the module for where they come from."""

    model_config = SettingsConfigDict(
        env_prefix="LETHE_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    data_dir: Path = Path(".lethe")
    secrets_dir: Path | None = Field(default=None, description="default: <data_dir>/secrets")
    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    collector: Collector = Collector()
    keys: Keys = Keys()
    security: Security = Security()
    statistics: Statistics = Statistics()
    geo: Geo = Field(default_factory=Geo)
    lanes: Lanes = Lanes()
    policy: Path | None = Field(
        default=None, description="the privacy policy file; without one: no consent and no ads"
    )
    ledger: str = Field(
        default="",
        description="postgresql+psycopg://user@host/database, the password in <secrets>/ledger; "
        "default: SQLite in <data_dir>/ledger.db",
    )
    erasures_dir: Path | None = Field(
        default=None,
        description="the journal of erasures, on another disk than the ledger; "
        "default: <data_dir>/erasures",
    )
    ads: Ads = Ads()
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = Field(default=9464, description="worker's /metrics; 0: any free port")
    sites: dict[str, Site] = Field(
        default={
            "shop.example": Site(keys=("demo-shop-key",), origins=("https://shop.example",)),
            "www.example": Site(keys=("demo-www-key",), origins=("https://www.example",)),
        },
        description="by name, which events and statistics bear",
    )

    @model_validator(mode="after")
    def _guard_behind_proxies(self) -> Self:
        if self.security.guard and not self.collector.trusted_hops:
            raise ValueError(
                "security.guard: needs collector.trusted_hops; without, every visitor would be "
                "the web server that asks"
            )
        return self

    @model_validator(mode="after")
    def _one_site_a_key(self) -> Self:
        keys = [key for site in self.sites.values() for key in site.keys]
        if len(keys) > len(set(keys)):
            raise ValueError("sites: a key belongs to one site only")
        return self

    @property
    def secrets(self) -> Path:
        """Folder of the secret files."""
        return self.secrets_dir or self.data_dir / "secrets"

    def environment(self) -> dict[str, str]:
        """Return an environment in which another process has these settings, whatever its own."""
        content = self.model_dump(mode="json", exclude_none=True)
        return {
            **os.environ,
            **{
                f"LETHE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
                for name, value in content.items()
            },
        }

    def topic(self, name: str) -> str:
        """Return the catalogue's topic name with this installation's prefix."""
        return self.kafka.prefix + name

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; first wins, key by key."""
        del dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls, settings_file())
        return init_settings, env_settings, toml, _Engines(settings_cls, toml)


class _Engines(PydanticBaseSettingsSource):
    """The addresses ``lethe up`` chose, from the data folder that the other sources name."""

    def __init__(self, settings_cls: type[BaseSettings], toml: TomlConfigSettingsSource) -> None:
        super().__init__(settings_cls)
        folder = os.environ.get("LETHE_DATA_DIR") or toml().get("data_dir") or ".lethe"
        self.file = Path(folder) / ENGINES

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Not used: ``__call__`` returns all at once."""
        raise NotImplementedError(field, field_name)

    def __call__(self) -> dict[str, Any]:
        """Return what the file holds; nothing when no engine was started here."""
        try:
            content = json.loads(self.file.read_text())
        except FileNotFoundError:
            return {}
        return content if isinstance(content, dict) else {}


class _WithoutEngines(Settings):
    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **more: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take all sources but the last."""
        return super().settings_customise_sources(settings_cls, *sources, **more)[:-1]


class SettingsError(ValueError):
    """Settings that cannot be used; says which one and why, never a value."""


def load(*, engines: bool = True, **overrides: Any) -> Settings:
    """Read the settings. Raise SettingsError that names the setting and the rule.

    ``engines=False`` leaves out the addresses of engines that run, or once ran, in the data folder:
    for who is about to start them.
    """
    try:
        return (Settings if engines else _WithoutEngines)(**overrides)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            )
        ) from None


def settings_file() -> Path:
    """Return the file that settings are read from, which need not be there."""
    return Path(os.environ.get("LETHE_CONFIG", "lethe.toml"))


def cache_home() -> Path:
    """Return the user's cache folder, where engines and city tables are kept between projects."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lethe"
